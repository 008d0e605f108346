//! What the client costs, each figure beside another way to the same result, measured in the same run.
//!
//! ```text
//! cargo bench -p prism-client --bench client
//! ```
//!
//! runs all cases in about a minute and prints a Markdown table. `docs/performance.md` says how it measures
//! and what the figures mean. `-- --cases decoder,typed,calls` picks cases; `-- --rounds 30` takes longer.
//!
//! | module | what lives there |
//! |---|---|
//! | `bodies` | the event streams that are read |
//! | `calls` | one request through the client, and the same with bare reqwest |
//! | `decoders` | the decoders, each behind one function |
//! | `measure` | turns, CPU time, medians of paired ratios |
//! | `report` | the table |
//! | `server` | answers every request with the same bytes |
//! | `streams` | the cases that read an event stream from memory |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a program that measures fails by panicking")]

mod bodies;
mod calls;
mod decoders;
mod measure;
mod report;
mod server;
mod streams;

use report::Report;

fn main() {
    let options = Options::parse(std::env::args().skip(1));
    let mut report = Report::default();
    for case in &options.cases {
        match case.as_str() {
            "decoder" => streams::decoder(options.rounds, &mut report),
            "typed" => streams::typed(options.rounds, &mut report),
            "calls" => calls::run(options.rounds, &mut report),
            other => panic!("no case is called `{other}`: there are decoder, typed and calls"),
        }
    }
    println!("{}\n\n{report}", measure::machine());
}

struct Options {
    cases: Vec<String>,
    rounds: usize,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self { cases: ["decoder", "typed", "calls"].map(String::from).into(), rounds: 15 };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("`{argument}` needs a value"));
            match argument.as_str() {
                "--cases" => options.cases = value().split(',').map(String::from).collect(),
                "--rounds" => options.rounds = value().parse().expect("`--rounds` needs a number"),
                // What `cargo bench` adds.
                "--bench" => {}
                other => panic!("`{other}` is not an option: there are --cases and --rounds"),
            }
        }
        options
    }
}
