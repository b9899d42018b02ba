//! A bump allocator for the parser, emptied after each file.
//!
//! tree-sitter allocates from C, where a Rust global allocator does not reach, and frees one subtree at a time what could
//! go at once. [`scope`] gives it a thread's arena for the time of one closure. The allocator is process-wide and
//! looks at the thread: outside of a scope, and when the arena is full, it is malloc.
//!
//! The rule that makes this sound: what tree-sitter allocates inside a scope never leaves it. A parser, a tree and its
//! cursors are made and dropped inside, or [`leave_behind`]; the closure returns plain data.
#![expect(unsafe_code, reason = "tree-sitter's allocator hooks are C functions over raw memory; this file is their only place")]

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    cell::Cell,
    ffi::c_void,
    ptr,
    sync::Once,
};

/// The first chunk; most files need no second.
const CHUNK_BYTES: usize = 8 << 20;
/// What one file may take from the arena; what is beyond comes from malloc and is freed piece by piece.
const ARENA_BYTES_MAX: usize = 96 << 20;
/// Kept between files; larger chunks go back to the system.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// The size stands before each block, in a whole unit of alignment.
const ALIGN: usize = 16;

struct Chunk {
    start: *mut u8,
    bytes: usize,
}

struct Arena {
    chunks: Vec<Chunk>,
    next: *mut u8,
    end: *mut u8,
    reserved: usize,
    /// Some of the scope's blocks are malloc's.
    is_exceeded: bool,
}

thread_local! {
    /// The arena of the scope that this thread is in; null outside.
    static CURRENT: Cell<*mut Arena> = const { Cell::new(ptr::null_mut()) };
    static OWNED: Cell<Option<Box<Arena>>> = const { Cell::new(None) };
}

/// Runs `work` with a fresh arena for all that tree-sitter allocates on this thread. Nothing of tree-sitter's may be in
/// its result: for this crate's engine alone.
pub(super) fn scope<T>(work: impl FnOnce() -> T) -> T {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(install);
    assert!(CURRENT.get().is_null(), "arena scopes do not nest");
    let arena = OWNED.take().unwrap_or_else(|| Box::new(Arena::new()));
    /// Ends the scope, on a panic too. The arena is reached through this one pointer while the scope lasts.
    struct Leave(*mut Arena);
    impl Drop for Leave {
        fn drop(&mut self) {
            CURRENT.set(ptr::null_mut());
            // SAFETY: it came from a box right below, and nobody else has it any more.
            let mut arena = unsafe { Box::from_raw(self.0) };
            arena.reset();
            OWNED.set(Some(arena));
        }
    }
    let leave = Leave(Box::into_raw(arena));
    CURRENT.set(leave.0);
    work()
}

/// Drops a tree of this scope where that frees anything: one that lies in the arena as a whole goes with it, and visiting each of its nodes to
/// free nothing costs as much as a tenth of the walk.
pub(super) fn leave_behind(tree: tree_sitter::Tree) {
    if current().is_some_and(|arena| !arena.is_exceeded) {
        std::mem::forget(tree);
    }
}

fn install() {
    let allocator = tree_sitter::Allocator { malloc, calloc, realloc, free };
    // SAFETY: the four functions keep C's contract for each other's blocks, on every thread, in and out of a scope. What
    // was allocated before this call came from malloc and goes back to it: such a block lies in no arena.
    unsafe { tree_sitter::set_allocator(Some(allocator)) };
}

impl Arena {
    const fn new() -> Arena {
        Arena { chunks: Vec::new(), next: ptr::null_mut(), end: ptr::null_mut(), reserved: 0, is_exceeded: false }
    }

    /// A block with its size before it; `None` when the arena may not grow.
    #[inline]
    fn allocate(&mut self, bytes: usize) -> Option<*mut u8> {
        // A block of no bytes takes some, or it would lie one past its chunk and be nobody's.
        let need = bytes.max(1).checked_next_multiple_of(ALIGN)?.checked_add(ALIGN)?;
        if need > self.end as usize - self.next as usize && self.grow(need).is_none() {
            self.is_exceeded = true;
            return None;
        }
        // SAFETY: `need` bytes are free between `next` and `end`, and both are aligned to ALIGN.
        unsafe {
            let block = self.next.add(ALIGN);
            self.next = self.next.add(need);
            block.sub(ALIGN).cast::<usize>().write(bytes);
            Some(block)
        }
    }

    #[cold]
    fn grow(&mut self, need: usize) -> Option<()> {
        let bytes = need.max(CHUNK_BYTES);
        if self.reserved.checked_add(bytes)? > ARENA_BYTES_MAX {
            return None;
        }
        let layout = Layout::from_size_align(bytes, ALIGN).ok()?;
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        self.chunks.push(Chunk { start, bytes });
        self.reserved += bytes;
        self.next = start;
        // SAFETY: one past the end of the chunk.
        self.end = unsafe { start.add(bytes) };
        Some(())
    }

    #[inline]
    fn owns(&self, block: *mut u8) -> bool {
        self.chunks.iter().rev().any(|chunk| (chunk.start as usize..chunk.start as usize + chunk.bytes).contains(&(block as usize)))
    }

    /// The newest block grows and shrinks where it is.
    fn resize_newest(&mut self, block: *mut u8, old: usize, new: usize) -> bool {
        let Some(new_len) = new.max(1).checked_next_multiple_of(ALIGN) else { return false };
        let old_end = old.max(1).next_multiple_of(ALIGN);
        // SAFETY: `block` is ours and `old` its size, so its end is within or one past its chunk.
        let is_newest = unsafe { block.add(old_end) } == self.next;
        if !is_newest || new_len > self.end as usize - block as usize {
            return false;
        }
        // SAFETY: checked above to stay within the chunk; the size stands right before the block.
        unsafe {
            self.next = block.add(new_len);
            block.sub(ALIGN).cast::<usize>().write(new);
        }
        true
    }

    fn reset(&mut self) {
        self.is_exceeded = false;
        let kept = self.chunks.first().is_some_and(|chunk| chunk.bytes <= KEPT_BYTES_MAX);
        for chunk in self.chunks.drain(usize::from(kept)..) {
            chunk.release();
        }
        (self.next, self.end, self.reserved) = match self.chunks.first() {
            // SAFETY: one past the end of the chunk.
            Some(chunk) => (chunk.start, unsafe { chunk.start.add(chunk.bytes) }, chunk.bytes),
            None => (ptr::null_mut(), ptr::null_mut(), 0),
        };
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.chunks.drain(..).for_each(Chunk::release);
    }
}

impl Chunk {
    fn release(self) {
        let layout = Layout::from_size_align(self.bytes, ALIGN).expect("it was allocated with this layout");
        // SAFETY: allocated in `grow` with this layout and released once.
        unsafe { dealloc(self.start, layout) };
    }
}

/// The arena of the scope this thread is in.
#[inline]
fn current<'a>() -> Option<&'a mut Arena> {
    let arena = CURRENT.get();
    // SAFETY: set by `scope` for as long as the arena lives, only read on its own thread, and the hooks below neither
    // call each other with a borrow alive nor give the reference away.
    unsafe { arena.as_mut() }
}

unsafe extern "C" fn malloc(bytes: usize) -> *mut c_void {
    match current().and_then(|arena| arena.allocate(bytes)) {
        Some(block) => block.cast(),
        // SAFETY: C's malloc.
        None => unsafe { libc::malloc(bytes) },
    }
}

unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let block = count.checked_mul(size).and_then(|bytes| Some((current()?.allocate(bytes)?, bytes)));
    match block {
        Some((block, bytes)) => {
            // SAFETY: the block holds that many bytes; memory of an earlier file may be dirty.
            unsafe { block.write_bytes(0, bytes) };
            block.cast()
        }
        // SAFETY: C's calloc, which checks the product itself.
        None => unsafe { libc::calloc(count, size) },
    }
}

unsafe extern "C" fn realloc(block: *mut c_void, bytes: usize) -> *mut c_void {
    let old_block = block.cast::<u8>();
    let Some(arena) = current().filter(|arena| !block.is_null() && arena.owns(old_block)) else {
        // SAFETY: null, or a block of C's malloc: an arena's block does not outlive its scope.
        return if block.is_null() { unsafe { malloc(bytes) } } else { unsafe { libc::realloc(block, bytes) } };
    };
    // SAFETY: the arena owns the block, so its size stands before it.
    let old = unsafe { old_block.sub(ALIGN).cast::<usize>().read() };
    if arena.resize_newest(old_block, old, bytes) {
        return block;
    }
    // SAFETY: the new block is distinct and both hold the smaller of the two sizes.
    unsafe {
        let new_block = malloc(bytes);
        if !new_block.is_null() {
            ptr::copy_nonoverlapping(old_block, new_block.cast(), old.min(bytes));
        }
        new_block
    }
}

unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() || current().is_some_and(|arena| arena.owns(block.cast())) {
        return;
    }
    // SAFETY: in no arena, so from C's malloc.
    unsafe { libc::free(block) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_two_scopes_are_the_same() {
        let text = "int main(void) { return 1 + (2 * 3); }\n".repeat(2_000);
        let parse = || {
            scope(|| {
                let mut parser = tree_sitter::Parser::new();
                parser.set_language(&tree_sitter_c::LANGUAGE.into()).unwrap();
                parser.parse(&text, None).unwrap().root_node().to_sexp()
            })
        };
        let first = parse();
        assert_eq!(first, parse());
        assert_eq!(first.matches("function_definition").count(), 2_000);
    }

    #[test]
    fn a_panic_inside_leaves_the_thread_usable() {
        assert!(std::panic::catch_unwind(|| scope(|| panic!("inside"))).is_err());
        assert_eq!(scope(|| 5), 5);
    }

    #[test]
    fn blocks_keep_their_bytes_when_they_grow() {
        scope(|| {
            // SAFETY: C's contract, exercised on the hooks themselves.
            unsafe {
                let block = malloc(10).cast::<u8>();
                block.write_bytes(7, 10);
                let other = calloc(4, 4).cast::<u8>();
                let grown = realloc(block.cast(), 100_000).cast::<u8>();
                assert_eq!(std::slice::from_raw_parts(grown, 10), [7; 10]);
                assert_eq!(std::slice::from_raw_parts(other, 16), [0; 16]);
                let huge = malloc(ARENA_BYTES_MAX + 1);
                assert!(!huge.is_null(), "beyond the arena there is malloc");
                free(huge);
            }
        });
    }
}
