//! The lending form of the decoder allocates nothing for an event.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use prism_client::sse::Decoder;

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(
    unsafe_code,
    reason = "an allocator cannot be written otherwise; it hands everything to the system's"
)]
// SAFETY: every call is the system allocator's own, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

/// How often this thread allocates while the decoder reads the chunks, and the number of events.
fn allocations<'a>(decoder: &mut Decoder, chunks: impl IntoIterator<Item = &'a [u8]>) -> (usize, usize) {
    let before = ALLOCATIONS.get();
    let mut events = 0;
    for mut chunk in chunks {
        while let Some(event) = decoder.next(&mut chunk).expect("no event is too large") {
            assert!(!event.data.is_empty() && !event.last_event_id.is_empty());
            events += 1;
        }
    }
    (ALLOCATIONS.get() - before, events)
}

fn body(data_lines: usize, end: &str) -> String {
    let data = format!("data: {{\"delta\":\"gr\u{fc}n\"}}{end}").repeat(data_lines);
    (0..1000).map(|number| format!("event: token{end}id: evt_a_{}{end}{data}{end}", 1000 + number)).collect()
}

#[test]
fn counting_works() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1]));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

#[test]
fn events_within_a_chunk_cost_nothing_but_the_place_of_the_id() {
    for end in ["\n", "\r\n"] {
        let body = body(1, end);
        let (allocated, events) = allocations(&mut Decoder::new(1 << 20), [body.as_bytes()]);
        assert_eq!(events, 1000);
        assert!(allocated <= 1, "the id is kept in a place that is made once, not {allocated} times");
    }
}

#[test]
fn a_steady_stream_allocates_nothing_however_it_is_cut() {
    for (data_lines, end) in [(1, "\n"), (3, "\n"), (1, "\r\n"), (2, "\r")] {
        let body = body(data_lines, end);
        for size in [1, 7, 64, 1400, body.len()] {
            let mut decoder = Decoder::new(1 << 20);
            // The first pass makes the buffers as large as they have to be.
            allocations(&mut decoder, body.as_bytes().chunks(size));
            let (allocated, events) = allocations(&mut decoder, body.as_bytes().chunks(size));
            assert_eq!((allocated, events), (0, 1000), "{data_lines} lines, end {end:?}, chunks of {size}");
        }
    }
}
