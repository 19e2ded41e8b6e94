//! What a system without `std` must bring, for x86-64 Linux: the entry point, two system calls, an
//! allocator, a panic handler, and the four memory functions that compiled code calls.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicUsize, Ordering};

// The kernel enters with the stack pointer aligned to 16; a function expects it 8 off, as after a
// call, which is what `call` makes of it.
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "call {entry}", "ud2", entry = sym entry);

extern "C" fn entry() -> ! {
    exit(crate::main())
}

const SYS_WRITE: usize = 1;
const SYS_EXIT_GROUP: usize = 231;

fn exit(status: u8) -> ! {
    // SAFETY: exit_group(2) takes a number and does not return.
    unsafe { asm!("syscall", in("rax") SYS_EXIT_GROUP, in("rdi") usize::from(status), options(noreturn)) }
}

struct StandardError;

impl Write for StandardError {
    fn write_str(&mut self, mut s: &str) -> fmt::Result {
        while !s.is_empty() {
            let written: isize;
            // SAFETY: write(2) reads `len` octets at the pointer; the call clobbers rcx and r11.
            unsafe {
                asm!("syscall", inlateout("rax") SYS_WRITE => written, in("rdi") 2, in("rsi") s.as_ptr(),
                     in("rdx") s.len(), out("rcx") _, out("r11") _, options(nostack, readonly));
            }
            let written = usize::try_from(written).map_err(|_| fmt::Error)?;
            s = s.get(written..).ok_or(fmt::Error)?;
        }
        Ok(())
    }
}

/// Writes to standard error.
pub fn print(text: fmt::Arguments<'_>) {
    // There is nowhere to tell that standard error is closed.
    let _ = StandardError.write_fmt(text);
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    print(format_args!("probe: {info}\n"));
    exit(134)
}

/// The precompiled `core` names it in its unwind tables; with `panic = "abort"` nothing calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    exit(134)
}

const ARENA: usize = 64 << 20;

/// The simplest allocator: a mark that moves up. Only the latest allocation can grow or be given back.
#[repr(align(16))]
struct Bump {
    arena: UnsafeCell<[u8; ARENA]>,
    used: AtomicUsize,
}

// SAFETY: the program has one thread.
unsafe impl Sync for Bump {}

#[global_allocator]
static HEAP: Bump = Bump { arena: UnsafeCell::new([0; ARENA]), used: AtomicUsize::new(0) };

/// Octets of the arena in use.
pub fn heap_used() -> usize {
    HEAP.used.load(Ordering::Relaxed)
}

// SAFETY: each block lies in the arena, aligned, and overlaps no other: the mark only moves back over
// the block that ends at it.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.arena.get().cast::<u8>();
        let mark = base as usize + self.used.load(Ordering::Relaxed);
        let start = mark.next_multiple_of(layout.align()) - base as usize;
        match start.checked_add(layout.size()) {
            Some(end) if end <= ARENA => {
                self.used.store(end, Ordering::Relaxed);
                // SAFETY: `start` is within the arena.
                unsafe { base.add(start) }
            }
            _ => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let start = block as usize - self.arena.get() as usize;
        if start + layout.size() == self.used.load(Ordering::Relaxed) {
            self.used.store(start, Ordering::Relaxed);
        }
    }
}

// Compiled code calls these four by name. String instructions, because a loop would be compiled
// into a call of the very function.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller's promise: `n` octets at both, not overlapping.
    unsafe {
        asm!("rep movsb", inout("rcx") n => _, inout("rdi") dst => _, inout("rsi") src => _, options(nostack, preserves_flags));
    }
    dst
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    if (dst as usize).wrapping_sub(src as usize) >= n {
        // SAFETY: `dst` does not lie in `src..src + n`, so copying upwards is right.
        return unsafe { memcpy(dst, src, n) };
    }
    // SAFETY: the caller's promise; downwards from the last octet, with the direction flag restored.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") n => _, inout("rdi") dst.wrapping_add(n).wrapping_sub(1) => _,
             inout("rsi") src.wrapping_add(n).wrapping_sub(1) => _, options(nostack));
    }
    dst
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(dst: *mut u8, value: i32, n: usize) -> *mut u8 {
    // SAFETY: the caller's promise: `n` octets at `dst`.
    unsafe {
        asm!("rep stosb", inout("rcx") n => _, inout("rdi") dst => _, in("al") value as u8, options(nostack, preserves_flags));
    }
    dst
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        // SAFETY: the caller's promise: `n` octets at both. Volatile, so that the loop stays a loop.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { memcmp(a, b, n) }
}
