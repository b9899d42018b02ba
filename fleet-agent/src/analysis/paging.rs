//! This program's own pages, brought in at once where much is to be parsed.
//!
//! tree-sitter compares the states of scanners that have none with a `memcmp` of no bytes at a constant, of which nothing else is
//! ever read, so that its page is never brought in. The AVX-512 `memcmp` of glibc loads under a mask; one that masks all of a page
//! that is not present is repaired by microcode, each time anew. It was 5 to 7 % of the time that the engine took.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "madvise takes an address; this is its only place"))]

/// Text that is parsed before it is worth it: the call takes about as long as a hundred kilobytes.
pub(super) const WORTH_FROM_BYTES: usize = 1 << 20;

/// Brings in what the linker placed from the program's header to the end of its data, wherever it puts the grammars' tables in between. Where the system
/// cannot do that, nothing has changed but the speed.
#[cfg(target_os = "linux")]
pub(super) fn bring_in() {
    use std::{ffi::c_void, sync::Once};

    use rustix::{
        mm::{Advice, madvise},
        param::page_size,
    };

    // By the linker, in every ELF program.
    unsafe extern "C" {
        static __executable_start: u8;
        static edata: u8;
    }
    static BROUGHT: Once = Once::new();
    BROUGHT.call_once(|| {
        let (start, end) = (&raw const __executable_start, &raw const edata);
        let begun = start.addr() & !(page_size() - 1);
        // SAFETY: pages are read, as anybody may read them at any time, and neither changed nor taken away.
        let _ = unsafe { madvise(start.with_addr(begun).cast_mut().cast::<c_void>(), end.addr().saturating_sub(begun), Advice::LinuxPopulateRead) };
    });
}

#[cfg(not(target_os = "linux"))]
pub(super) fn bring_in() {}
