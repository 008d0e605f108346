//! How long a server asks to wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Reads `retry-after-ms`, or else `retry-after` as seconds or as a date (RFC 9110, section 10.2.3). A date
/// in the past is zero; what cannot be read is no hint.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |value: &reqwest::header::HeaderValue| value.to_str().ok().map(|text| text.trim().to_owned());
    let milliseconds = headers.get("retry-after-ms").and_then(text);
    if let Some(hint) = milliseconds.and_then(|text| seconds(&text)) {
        return Some(hint / 1000);
    }
    let value = headers.get(RETRY_AFTER).and_then(text)?;
    seconds(&value).or_else(|| date(&value, SystemTime::now()))
}

fn seconds(text: &str) -> Option<Duration> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    // A number that is too large stands for the longest time: it is no reason to come at once.
    Some(Duration::try_from_secs_f64(text.parse().ok()?).unwrap_or(Duration::MAX))
}

fn date(text: &str, now: SystemTime) -> Option<Duration> {
    let instant = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let since_epoch = Duration::from_secs(u64::try_from(instant.as_second()).ok()?);
    Some((UNIX_EPOCH + since_epoch).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_read() {
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after", "1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(read("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(read("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_too_large_is_the_longest_time() {
        for value in ["18446744073709551616", "1e400"] {
            assert_eq!(read("retry-after", value), Some(Duration::MAX), "{value:?}");
        }
    }

    #[test]
    fn nonsense_is_no_hint() {
        for value in ["", "-1", "soon", "inf", "NaN", "+3"] {
            assert_eq!(read("retry-after", value), None, "{value:?}");
        }
    }
}
