//! Properties of what programs write: the events of an instance.

use std::sync::Arc;

use prism_types::{InstanceId, WebhookId};

use super::{
    Recorder, commit,
    records::{at, event, id, program, webhook},
};
use crate::{
    domain::{event::NewEvent, limits},
    ports::{DeliveryQuery, LogPlace, Store, Write},
};

/// An event of the instance of a deployment.
fn line(deployment: u32, instance: u32, data: &str) -> Write {
    let instance_id = Some(id("ins_", instance));
    Write::Append(NewEvent { instance_id, name: "log".to_owned(), ..event(deployment, data) })
}

/// The data of a page of an instance's events.
async fn page(store: &dyn Store, instance: u32, place: LogPlace, limit: u32) -> Vec<String> {
    let instance: InstanceId = id("ins_", instance);
    let events = store.instance_events(&instance, place, limit).await.unwrap();
    assert!(events.iter().all(|logged| logged.event.instance_id.as_ref() == Some(&instance)));
    assert!(events.is_sorted_by_key(|logged| logged.sequence));
    events.into_iter().map(|logged| logged.event.data).collect()
}

/// The events of an instance are in the log of its deployment, and are read after a number of that, after so many of its
/// own, or from the last so many. Those of other instances are not among them.
pub async fn the_log_of_an_instance_is_read_from_any_place(store: Arc<dyn Store>) {
    use LogPlace::{After, Offset, Tail};
    let store = store.as_ref();
    commit(store, [program(1, 1), program(1, 2)].map(Write::InsertProgram)).await.unwrap();
    // The sequence numbers of `a` to `d` are 2, 3, 6 and 7.
    let appended = [
        Write::Append(event(1, "no instance")),
        line(1, 1, "a"),
        line(1, 1, "b"),
        line(1, 3, "another instance"),
        line(2, 2, "another deployment"),
        Write::Append(NewEvent { run_id: Some(id("run_", 1)), ..event(1, "no instance either") }),
        line(1, 1, "c"),
        line(1, 1, "d"),
    ];
    commit(store, appended).await.unwrap();

    for (place, limit, expected) in [
        (After(0), 9, "abcd"),
        (After(1), 9, "abcd"),
        (After(2), 9, "bcd"),
        (After(2), 2, "bc"),
        (After(2), 0, ""),
        (After(5), 1, "c"),
        (After(7), 9, ""),
        (After(u64::MAX), 9, ""),
        (Offset(0), 9, "abcd"),
        (Offset(1), 2, "bc"),
        (Offset(3), 9, "d"),
        (Offset(4), 9, ""),
        (Offset(u64::MAX), 9, ""),
        (Tail(0), 9, ""),
        (Tail(1), 9, "d"),
        (Tail(3), 9, "bcd"),
        (Tail(3), 2, "bc"),
        (Tail(4), 9, "abcd"),
        (Tail(5), 9, "abcd"),
        (Tail(u32::MAX), 9, "abcd"),
    ] {
        assert_eq!(page(store, 1, place, limit).await.concat(), expected, "{place:?} limit {limit}");
    }
    for place in [After(0), Offset(0), Tail(9)] {
        assert_eq!(page(store, 2, place, 9).await, ["another deployment"]);
        assert_eq!(page(store, 9, place, 9).await, [""; 0]);
    }
    let log = store.events(&id("dep_", 1), 0, 9).await.unwrap();
    assert_eq!(log.iter().filter(|logged| logged.event.instance_id.is_some()).count(), 5);
    assert_eq!(log.len(), 7);
}

/// What is trimmed of a deployment's log is gone for its instances, too; places count from what is left.
pub async fn the_log_of_an_instance_is_trimmed_with_its_deployments(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [Write::InsertProgram(program(1, 1))]).await.unwrap();
    commit(store, ["a", "b", "c"].map(|data| line(1, 1, data))).await.unwrap();
    commit(store, [Write::TrimEvents(id("dep_", 1), 1)]).await.unwrap();
    assert_eq!(page(store, 1, LogPlace::After(0), 9).await, ["b", "c"]);
    assert_eq!(page(store, 1, LogPlace::Offset(1), 9).await, ["c"]);
    assert_eq!(page(store, 1, LogPlace::Tail(9), 9).await, ["b", "c"]);
}

/// The oldest events of an instance go, whole ones, until their data had so many bytes; all others stay, with their numbers.
pub async fn the_log_of_an_instance_is_trimmed_by_its_bytes(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let (one, other): (InstanceId, InstanceId) = (id("ins_", 1), id("ins_", 2));
    commit(store, [Write::InsertProgram(program(1, 1))]).await.unwrap();
    let appended = [
        Write::Append(event(1, "no instance")),
        line(1, 1, "aa"),
        line(1, 2, "another instance"),
        line(1, 1, "ää"),
        line(1, 1, "c"),
        line(1, 1, "d"),
    ];
    commit(store, appended).await.unwrap();
    assert_eq!(store.instance_event_bytes(&one).await.unwrap(), 8);
    for (bytes, left) in [(0, "aaääcd"), (1, "ääcd"), (4, "cd"), (2, ""), (u64::MAX, "")] {
        commit(store, [Write::TrimInstanceEvents(one.clone(), bytes)]).await.unwrap();
        assert_eq!(page(store, 1, LogPlace::After(0), 9).await.concat(), left, "{bytes}");
        assert_eq!(store.instance_event_bytes(&one).await.unwrap(), left.len() as u64);
    }
    assert_eq!(store.instance_event_bytes(&other).await.unwrap(), 16);
    assert_eq!(store.instance_event_bytes(&id("ins_", 9)).await.unwrap(), 0);
    let left = store.events(&id("dep_", 1), 0, 9).await.unwrap();
    assert_eq!(left.iter().map(|logged| logged.sequence).collect::<Vec<_>>(), [1, 3]);
    commit(store, [line(1, 1, "e"), Write::TrimInstanceEvents(id("ins_", 9), 1)]).await.unwrap();
    assert_eq!(store.last_sequence(&id("dep_", 1)).await.unwrap(), 7, "numbers are not used again");
    commit(store, [Write::TrimEvents(id("dep_", 1), 9)]).await.unwrap();
    assert_eq!(
        page(store, 1, LogPlace::After(0), 9).await.concat(),
        "",
        "a log with gaps is trimmed as well"
    );
}

/// A page of large events ends early from whatever place, and what follows is read after its last event.
pub async fn a_page_of_an_instance_with_large_events_ends_early(store: Arc<dyn Store>) {
    let store = store.as_ref();
    commit(store, [Write::InsertProgram(program(1, 1))]).await.unwrap();
    let large = "x".repeat(limits::EVENT_PAGE / 2);
    commit(store, [&large, &large, "y", "z"].map(|data| line(1, 1, data))).await.unwrap();
    for place in [LogPlace::After(0), LogPlace::Offset(0), LogPlace::Tail(4), LogPlace::Tail(9)] {
        let first = page(store, 1, place, 9).await;
        assert_eq!(first.len(), 3, "{place:?}");
        assert_eq!(first[2], "y", "{place:?}");
    }
    assert_eq!(page(store, 1, LogPlace::After(3), 9).await, ["z"]);
}

/// A webhook hears of a program like of an agent, but never what an instance of it writes.
pub async fn webhooks_are_not_told_what_programs_write(store: Arc<dyn Store>) {
    let store = store.as_ref();
    let recorder = Recorder::of(store);
    commit(store, [program(1, 1), program(2, 2)].map(Write::InsertProgram)).await.unwrap();
    commit(store, [webhook(1, 1), webhook(2, 2)].map(Write::InsertWebhook)).await.unwrap();
    let status = NewEvent { name: "run_status".to_owned(), ..event(1, "{}") };
    let written = NewEvent { instance_id: Some(id("ins_", 1)), ..status.clone() };
    commit(store, [line(1, 1, "a"), Write::Append(written), Write::Append(status)]).await.unwrap();
    let queued = async |number| {
        let all = DeliveryQuery { state: None, before: None, limit: 9 };
        let deliveries = store.deliveries(&id("whe_", number), all).await.unwrap().into_iter();
        deliveries.map(|delivery| delivery.event.unwrap().sequence).collect::<Vec<_>>()
    };
    assert_eq!(queued(1).await, [3]);
    assert_eq!(queued(2).await, [0; 0]);
    assert_eq!(recorder.queued(), [id::<WebhookId>("whe_", 1)]);
    let told: Vec<_> = recorder.told().into_iter().map(|logged| logged.event.instance_id).collect();
    assert_eq!(told, [Some(id("ins_", 1)), Some(id("ins_", 1)), None], "readers of the log are told all");
    assert_eq!(recorder.told()[0].event.created_at, at(60));
}
