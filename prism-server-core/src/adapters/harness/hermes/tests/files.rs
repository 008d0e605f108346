//! Changes of files: those of the agent are told, and those of users not once more.

use std::time::{Duration, UNIX_EPOCH};

use prism_types::{FileChange, FileType};

use super::*;
use crate::ports::FileInfo;

fn info(nanoseconds: u64) -> FileInfo {
    let modified = UNIX_EPOCH + Duration::from_nanos(nanoseconds);
    FileInfo { kind: FileType::File, size: 3, modified, version: "v".to_owned() }
}

fn found(change: &str, path: &str, mtime: u64) -> (&'static str, Value) {
    ("prism.file", json!({"change": change, "path": path, "size": 3, "mtime": mtime}))
}

#[tokio::test]
async fn what_users_changed_themselves_is_not_told_by_the_run() {
    let stage = Stage::new(Features::default().filesystem_webhooks(true)).await;
    let instance = stage.sandbox.id.clone();
    let path = |text: &str| text.parse::<WorkspacePath>().unwrap();
    // Before the bridge is there, nobody hears of it.
    stage.harness.begin_change(&instance).await.changed(&path("early"), Some(&info(1)));
    let mut bridge = stage.bridge("b1").await;
    let (mut steps, _inbox) = stage.run(None, message(1, "go"));
    let play = async {
        bridge.answer("prism.open", opened(&[])).await;
        bridge.take().await;
        // One that comes to nothing.
        drop(stage.harness.begin_change(&instance).await);
        stage.harness.begin_change(&instance).await.changed(&path("a\nb"), Some(&info(2)));
        let told: Value = serde_json::from_str(&bridge.command("told").await).unwrap();
        assert_eq!(told, json!({"path": "a\nb", "size": 3, "mtime": 2}));
        stage.harness.begin_change(&instance).await.changed(&path("dir"), None);
        bridge
            .tell([
                found("created", "early", 1),
                found("created", "a\nb", 2),
                found("deleted", "dir/c", 0),
                found("modified", "early", 3),
                found("created", "a\nb", 4),
                found("created", "agents", 5),
                ("prism.file", json!({"change": "created", "path": "../up", "size": 3, "mtime": 1})),
                ("prism.file", json!({"change": "created", "path": "no size"})),
            ])
            .await;
        bridge.tell(turn("done")).await;
    };
    let ((events, _), ()) = tokio::join!(rest(&mut steps), play);
    let changes = events.into_iter().filter_map(|event| match event {
        HarnessEvent::FileChanged { change, path } => Some((change, path.to_string())),
        _ => None,
    });
    let expected = [
        (FileChange::Modified, "early"),
        (FileChange::Modified, "a\nb"),
        (FileChange::Created, "agents"),
        (FileChange::Created, "no size"),
    ];
    assert_eq!(changes.collect::<Vec<_>>(), expected.map(|(change, path)| (change, path.to_owned())));
}
