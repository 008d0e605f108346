//! Skills from files of the workspace.

use prism_client::resources::DeploymentHandle;
use prism_tests::{TestServer, scripted};
use prism_types::{CreateDeployment, EventPayload, RunStatus, Skill, SkillState};

const SKILL: &str = "---\\nname: notes\\ndescription: How to take notes\\n---\\n# Notes\\n";

/// Sends a message and answers the text of its run.
async fn run(deployment: &DeploymentHandle, message: &str) -> String {
    let mut events = deployment.events().stream().open().await.unwrap();
    let sent = deployment.messages().send(message).await.unwrap();
    let mut text = String::new();
    while let Some(event) = events.next().await {
        match event.unwrap().payload {
            EventPayload::Token(token) => text.push_str(&token.delta),
            EventPayload::RunStatus(changed) if changed.status.is_terminal() => {
                assert_eq!(changed.run_id, sent.run_id);
                assert_eq!(changed.status, RunStatus::Completed, "{changed:?}");
                return text;
            }
            _ => {}
        }
    }
    panic!("the stream ended before the run");
}

async fn state(deployment: &DeploymentHandle) -> (SkillState, Option<String>, Option<String>) {
    let listed = deployment.skills().list().await.unwrap().into_inner();
    let skill = listed.data.into_iter().next().unwrap();
    (skill.state, skill.description, skill.error.map(|failure| failure.message))
}

#[tokio::test]
async fn a_file_skill_is_pending_until_a_run_finds_its_file() {
    let server = TestServer::start().await;
    let script = format!("token \"[{{{{skills}}}}]\"\nwrite .prism/skills/notes/SKILL.md \"{SKILL}\"");
    let request = CreateDeployment::new("cus_1", "Agent", scripted(&script))
        .skill(Skill::file("notes", ".prism/skills/notes/SKILL.md"));
    let deployment = server.client().deployment(&server.deploy_request(request).await);
    assert_eq!(state(&deployment).await, (SkillState::Pending, None, None));
    // The first run writes the file, the second one uses it.
    assert_eq!(run(&deployment, "one").await, "[]");
    assert_eq!(run(&deployment, "two").await, "[notes]");
    let description = Some("How to take notes".to_owned());
    assert_eq!(state(&deployment).await, (SkillState::Ready, description, None));
}

#[tokio::test]
async fn a_file_that_is_no_skill_shows_why_and_stops_no_run() {
    let server = TestServer::start().await;
    let request =
        CreateDeployment::new("cus_1", "Agent", scripted("token \"[{{skills}}]\"\nwrite a.md \"# No\""))
            .skill(Skill::file("notes", "a.md"));
    let deployment = server.client().deployment(&server.deploy_request(request).await);
    run(&deployment, "one").await;
    assert_eq!(run(&deployment, "two").await, "[]");
    let (state, _, reason) = state(&deployment).await;
    assert_eq!(state, SkillState::Invalid);
    assert!(reason.unwrap().contains("front matter"));
}
