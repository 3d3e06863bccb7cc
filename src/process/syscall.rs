//! System calls that do not use `errno`.
//!
//! A process that has the memory of another one, and runs beside a thread of it, shares the `errno`
//! of that thread.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_long};

/// False if [`syscall`] uses `errno` on this architecture.
pub(super) const IS_ERRNO_FREE: bool = cfg!(all(
    any(target_arch = "aarch64", target_arch = "x86_64"),
    target_pointer_width = "64"
));

/// Makes a system call. Returns its result or its error.
///
/// # Safety
///
/// That of the call.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub(super) unsafe fn syscall(number: c_long, args: [usize; 4]) -> Result<usize, c_int> {
    let result: isize;
    // SAFETY: this is the convention of the kernel for calls with up to four arguments. The caller
    // answers for the rest.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    checked(result)
}

/// Makes a system call. Returns its result or its error.
///
/// # Safety
///
/// That of the call.
#[cfg(all(target_arch = "aarch64", target_pointer_width = "64"))]
pub(super) unsafe fn syscall(number: c_long, args: [usize; 4]) -> Result<usize, c_int> {
    let result: isize;
    // SAFETY: this is the convention of the kernel for calls with up to four arguments. The caller
    // answers for the rest.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] => result,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            options(nostack),
        );
    }
    checked(result)
}

/// Makes a system call by the C library. Returns its result or its error.
///
/// # Safety
///
/// That of the call.
#[cfg(not(all(
    any(target_arch = "aarch64", target_arch = "x86_64"),
    target_pointer_width = "64"
)))]
pub(super) unsafe fn syscall(number: c_long, args: [usize; 4]) -> Result<usize, c_int> {
    let [a, b, c, d] = args;
    // SAFETY: the caller answers for the call.
    let result = unsafe { libc::syscall(number, a, b, c, d) };
    usize::try_from(result).map_err(|_| {
        std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EINVAL)
    })
}

/// Separates errors from results, as the kernel encodes them.
#[cfg(all(
    any(target_arch = "aarch64", target_arch = "x86_64"),
    target_pointer_width = "64"
))]
fn checked(result: isize) -> Result<usize, c_int> {
    match c_int::try_from(result) {
        Ok(error @ -4095..0) => Err(-error),
        _ => Ok(result.cast_unsigned()),
    }
}
