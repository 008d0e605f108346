//! The logs of runs and services, page by page.
//!
//! A page is asked for in one of three ways: from an offset, after a cursor, or as the last lines. Each answers a cursor
//! with which the reading goes on, also when there is nothing more yet.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prism_types::{
    RunId,
    nullspace::{JsonObject, LogEvent, LogLevel, LogPage, LogSource},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::convert;
use crate::{
    core::Core,
    domain::program::log::{Line, Phase, Source},
    domain::{event::LoggedEvent, limits, program::hosted::Hosted},
    error::{Error, Result},
    http::query::Query,
    ports::LogPlace,
    service::programs::logs,
};

/// Which page is asked for.
pub(super) struct LogQuery {
    place: LogPlace,
    offset: u64,
    limit: u32,
}

impl LogQuery {
    /// Reads `offset` and `limit`, `limit` and `cursor`, or `limit` and `tail`.
    pub(super) fn parse(query: Option<&str>) -> Result<Self> {
        let mut query = Query::parse(query);
        let number =
            |text: &str| text.parse().map_err(|_| format!("must be a whole number from 0 to {}", u64::MAX));
        let count = |text: &str| {
            let count = text.parse().ok().filter(|count| (1..=limits::LOG_PAGE).contains(count));
            count.ok_or_else(|| format!("must be a whole number from 1 to {}", limits::LOG_PAGE))
        };
        let offset = query.read("offset", number);
        let limit = query.read("limit", count).unwrap_or(limits::LOG_PAGE_DEFAULT);
        let cursor = query.read("cursor", |text| {
            decode(text).ok_or_else(|| "must be the `next_cursor` of a page of this log".to_owned())
        });
        let tail = query.read("tail", count);
        for (name, given, other) in [
            ("offset", offset.is_some(), cursor.is_some() || tail.is_some()),
            ("tail", tail.is_some(), cursor.is_some()),
        ] {
            if given && other {
                query.refuse(name, "cannot be used with another way to say where to begin");
            }
        }
        query.finish()?;
        let place = match (cursor, tail) {
            (Some(after), _) => LogPlace::After(after),
            (None, Some(tail)) => LogPlace::Tail(tail),
            (None, None) => LogPlace::Offset(offset.unwrap_or(0)),
        };
        Ok(Self { place, offset: offset.unwrap_or(0), limit })
    }

    /// The page of the log of a job or a service.
    pub(super) async fn page(&self, core: &Core, hosted: &Hosted, run: Option<&RunId>) -> Result<LogPage> {
        let (deployment, instance) = (&hosted.deployment_id, &hosted.instance_id);
        let page = logs::page(core, deployment, instance, self.place, self.limit).await?;
        let events = page.lines.iter().map(|(event, line)| told(hosted, run, event, line));
        let events = events.collect::<Result<_>>()?;
        Ok(LogPage::new(events, self.offset, self.limit.into())
            .has_more(page.has_more)
            .next_cursor(Some(encode(page.next).into())))
    }
}

fn told(hosted: &Hosted, run: Option<&RunId>, logged: &LoggedEvent, line: &Line) -> Result<LogEvent> {
    #[derive(Serialize)]
    struct Metadata {
        source: Source,
        #[serde(skip_serializing_if = "Option::is_none")]
        failure_phase: Option<Phase>,
    }
    let metadata = Metadata { source: line.source, failure_phase: line.phase };
    let metadata = JsonObject::of(&metadata).map_err(Error::internal)?;
    // The same line always has the same id.
    let name = format!("{}/{}", logged.event.deployment_id, logged.sequence);
    let hash: [u8; 32] = Sha256::digest(name).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    let id = Builder::from_custom_bytes(bytes).into_uuid();
    let source = (LogSource::from(line.source.as_str()), LogLevel::from(line.level.as_str()));
    let service = match run {
        Some(_) => None,
        None => Some(convert::service_instance_id(&hosted.instance_id)?),
    };
    let deployment = convert::agent_deployment_id(&hosted.deployment_id)?;
    let (kind, message) = (line.kind.clone(), line.message.clone());
    Ok(LogEvent::new(id.to_string(), deployment, source, kind, message, logged.event.created_at)
        .version_id(Some(convert::agent_version_id(&line.version_id)?))
        .run_id(run.map(convert::agent_run_id).transpose()?)
        .service_instance_id(service)
        .sandbox_id(convert::sandbox_id(hosted)?)
        .metadata(metadata))
}

fn encode(sequence: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("log:{sequence}"))
}

fn decode(cursor: &str) -> Option<u64> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_prefix("log:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back_and_no_text_panics(sequence in any::<u64>(), text in any::<String>()) {
            prop_assert_eq!(decode(&encode(sequence)), Some(sequence));
            let _ = decode(&text);
        }
    }

    #[test]
    fn a_page_is_asked_for_in_one_way() {
        let of = |query: &str| LogQuery::parse(Some(query)).map(|query| (query.place, query.limit));
        assert_eq!(of("").unwrap(), (LogPlace::Offset(0), 100));
        assert_eq!(of("offset=3&limit=2").unwrap(), (LogPlace::Offset(3), 2));
        assert_eq!(of("limit=200&tail=200").unwrap(), (LogPlace::Tail(200), 200));
        let cursor = encode(9);
        assert_eq!(of(&format!("cursor={cursor}")).unwrap(), (LogPlace::After(9), 100));
        for query in ["limit=0", "limit=1001", "tail=0", "offset=-1", "cursor=x", "offset=1&tail=1"] {
            assert!(of(query).is_err(), "{query}");
        }
        assert!(of(&format!("tail=1&cursor={cursor}")).is_err());
        assert!(of("limit=1000").is_ok());
    }
}
