//! The largest file goes to a workspace and back, and is never in memory as a whole. A program of its own: nothing else
//! takes memory meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::io;

use bytes::Bytes;
use futures::stream;
use prism_client::resources::FileBody;
use prism_tests::{ServerOptions, TestServer};

/// The largest file, in bytes.
const LARGEST: u64 = 512 << 20;
/// What server and client together may need for it.
const MOST: u64 = 64 << 20;
const PIECE: u64 = 1 << 20;

/// The most memory that this process has had so far.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// So many bytes, made as they are wanted.
fn content(bytes: u64) -> FileBody {
    let piece = Bytes::from(vec![b'x'; PIECE as usize]);
    FileBody::stream(stream::unfold(bytes, move |left| {
        let piece = piece.slice(..left.min(PIECE) as usize);
        let rest = left - piece.len() as u64;
        async move { (left > 0).then(|| (Ok::<_, io::Error>(piece), rest)) }
    }))
}

#[tokio::test]
async fn the_largest_file_is_written_and_read_in_bounded_memory() {
    let server = TestServer::with(ServerOptions { on_disk: true, ..ServerOptions::default() }).await;
    let id = server.deploy("say Hi").await;
    let files = server.client().deployment(&id).files();
    files.write("warm up", content(PIECE)).await.unwrap();
    let before = peak();
    assert_eq!(files.write("largest", content(LARGEST)).await.unwrap().size, LARGEST);
    let mut read = files.read("largest").await.unwrap();
    let mut came = 0;
    while let Some(piece) = read.next().await {
        came += piece.unwrap().len() as u64;
    }
    assert_eq!(came, LARGEST);
    let refused = files.write("larger", content(LARGEST + 1)).await.unwrap_err();
    assert_eq!(refused.status(), Some(413), "{refused}");
    let needed = peak() - before;
    println!("{} MiB for a file of {} MiB", needed >> 20, LARGEST >> 20);
    assert!(needed < MOST, "{needed} bytes");
}
