//! `wirestack_fuzzing::operations` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wirestack_fuzzing::operations(data));
