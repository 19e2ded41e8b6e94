//! `wirestack_fuzzing::frame` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wirestack_fuzzing::frame(data));
