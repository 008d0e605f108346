//! The cases that read an event stream from memory.

use bytes::Bytes;

use crate::{
    bodies::{Body, Tally},
    decoders,
    measure::{Contestant, median, ratios, take_turns},
    report::{Report, Row},
};

type Read = fn(&[Bytes]) -> Tally;

/// Decoders that only split bytes into fields.
const OTHERS: [(&str, Read); 3] = [
    ("eventsource-stream 0.2.3", decoders::eventsource_stream),
    ("sse-core 0.2.3", decoders::sse_core),
    ("sse-stream 0.3.0", decoders::sse_stream),
];

/// The decoder beside others, and beside what any decoder has to do at least.
pub(crate) fn decoder(rounds: usize, report: &mut Report) {
    for body in Body::all() {
        let bounds = [
            Contestant::new("bound: `memchr2` from line end to line end", || {
                decoders::line_ends(&body.chunks)
            }),
            Contestant::new("bound: `str::from_utf8`", || decoders::utf_8(&body.chunks)),
        ];
        // Small events are the hard case; with large ones, all that are good come near the same bounds.
        let goals = match body.name {
            name if name.starts_with("200 B") => Goals { gigabytes: Some(2.0), ratio: Some(2.0) },
            name if name.starts_with("4 KB") => Goals { gigabytes: Some(8.0), ratio: None },
            _ => Goals { gigabytes: Some(1.0), ratio: None },
        };
        compare(rounds, &body, ("decoder", decoders::prism), bounds, goals, report);
    }
}

/// From bytes to typed events, beside decoders that leave the JSON to others.
pub(crate) fn typed(rounds: usize, report: &mut Report) {
    for (body, ratio) in [(Body::tokens(), Some(1.0)), (Body::escaped_tokens(), None)] {
        let goals = Goals { gigabytes: None, ratio };
        compare(rounds, &body, ("typed", decoders::prism_typed), [], goals, report);
    }
}

struct Goals {
    /// The least throughput in 10⁹ bytes a second.
    gigabytes: Option<f64>,
    /// The least ratio to the fastest of the others.
    ratio: Option<f64>,
}

fn compare<'a>(
    rounds: usize,
    body: &'a Body,
    (what, prism): (&str, Read),
    bounds: impl IntoIterator<Item = Contestant<'a>>,
    goals: Goals,
    report: &mut Report,
) {
    let checked = |read: Read| move || assert_eq!(read(&body.chunks), body.expected);
    let mut contestants = vec![Contestant::new("prism", checked(prism))];
    contestants.extend(OTHERS.map(|(name, read)| Contestant::new(name, checked(read))));
    contestants.extend(bounds);
    let times = take_turns(rounds, &mut contestants);
    let speed = |times: &[f64]| body.size as f64 / median(times) / 1e9;
    let fastest = (1..=OTHERS.len()).max_by(|&a, &b| speed(&times[a]).total_cmp(&speed(&times[b])));

    let millions = body.expected.events as f64 / median(&times[0]) / 1e6;
    let mut row = Row::new(
        format!("{what}, {}", body.name),
        format!("{:.2} GB/s, {millions:.2} M events/s", speed(&times[0])),
    );
    if let Some(least) = goals.gigabytes {
        row = row.goal(format!("≥ {least} GB/s"), speed(&times[0]) >= least);
    }
    report.row(row);
    for (index, contestant) in contestants.iter().enumerate().skip(1) {
        let (name, ratios) = (contestant.name, ratios(&times[index], &times[0]));
        let baseline = format!("{name}: {:.2} GB/s", speed(&times[index]));
        let mut row = Row::new("", "").baseline(baseline).ratios(&ratios);
        if let Some(least) = goals.ratio.filter(|_| Some(index) == fastest) {
            row = row.goal(format!("ratio ≥ {least}"), median(&ratios) >= least);
        }
        report.row(row);
    }
}
