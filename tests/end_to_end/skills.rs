//! Skills: from files of the workspace, and changed on a live deployment.

use futures::future::join_all;
use prism_client::resources::DeploymentHandle;
use prism_tests::{ServerOptions, TestServer, scripted};
use prism_types::{CreateDeployment, EventPayload, RunStatus, Skill, SkillSource, SkillState, UpdateSkill};
use serde_json::json;

const SKILL: &str = "---\\nname: notes\\ndescription: How to take notes\\n---\\n# Notes\\n";

/// A skill that says what it is for.
fn markdown(description: &str) -> String {
    format!("---\nname: any\ndescription: {description}\n---\n# {description}\n")
}

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

#[tokio::test]
async fn skills_of_a_live_deployment_count_from_the_next_run_on() {
    let files = prism_tests::serve_directory("examples/skills").await;
    let origin = "https://skills.example.com".to_owned();
    let options = ServerOptions { development_origins: vec![(origin, files)], ..Default::default() };
    let server = TestServer::with(options).await;
    let deployment = server.client().deployment(&server.deploy("token \"[{{skills}}]\"").await);
    let skills = deployment.skills();
    assert_eq!(run(&deployment, "none").await, "[]");

    let notes = skills.add(Skill::inline("notes", markdown("Notes"))).await.unwrap().into_inner();
    assert_eq!((&notes.source, &notes.state), (&SkillSource::Inline, &SkillState::Ready));
    let url = "https://skills.example.com/social-media-visual-effects/SKILL.md";
    let effects = skills.add(Skill::url("effects", url)).await.unwrap().into_inner();
    let later = skills.add(Skill::file("later", "later.md")).await.unwrap().into_inner();
    assert_eq!(later.state, SkillState::Pending);
    assert_eq!(run(&deployment, "some").await, "[notes, effects]");

    let read = skills.get(&notes.skill_id).await.unwrap().into_inner();
    assert_eq!((read.info, read.content), (notes.clone(), Some(markdown("Notes"))));
    let read = skills.get(&effects.skill_id).await.unwrap().into_inner();
    assert_eq!(read.url.as_deref(), Some(url));
    assert!(read.content.unwrap().contains("description:"));

    // Its name, its id and its place stay.
    let changed =
        skills.update(&notes.skill_id, UpdateSkill::inline(markdown("Better notes"))).await.unwrap();
    assert_eq!(changed.info.description.as_deref(), Some("Better notes"));
    assert_eq!((&changed.info.skill_id, &changed.info.created_at), (&notes.skill_id, &notes.created_at));
    let from_file =
        skills.update(&effects.skill_id, UpdateSkill::file("effects.md")).await.unwrap().into_inner();
    assert_eq!((from_file.info.state, from_file.content), (SkillState::Pending, None));
    assert_eq!(run(&deployment, "one").await, "[notes]");
    let names: Vec<_> = skills.list().await.unwrap().into_inner().data.into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["notes", "effects", "later"]);

    skills.remove(&notes.skill_id).await.unwrap();
    assert_eq!(run(&deployment, "none").await, "[]");
    for gone in [
        skills.get(&notes.skill_id).await.map(drop),
        skills.update(&notes.skill_id, UpdateSkill::again()).await.map(drop),
        skills.remove(&notes.skill_id).await.map(drop),
    ] {
        let gone = gone.unwrap_err();
        assert_eq!(gone.status(), Some(404), "{gone}");
        assert!(gone.to_string().contains("Skill not found"), "{gone}");
    }
}

/// What is behind a URL is read when that is asked for, and what was read stays when it cannot be read again.
#[tokio::test]
async fn a_skill_from_a_url_is_fetched_again_when_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (folder.path().to_owned(), folder.path().join("SKILL.md"));
    let router = axum::Router::new().fallback(move |uri: axum::http::Uri| {
        let path = path.join(uri.path().trim_start_matches('/'));
        async move { std::fs::read_to_string(path).map_err(|_| axum::http::StatusCode::NOT_FOUND) }
    });
    let origin = ("https://skills.example.com".to_owned(), prism_tests::serve(router).await);
    let server =
        TestServer::with(ServerOptions { development_origins: vec![origin], ..Default::default() }).await;
    let deployment = server.client().deployment(&server.deploy("say Hi").await);
    let skills = deployment.skills();
    std::fs::write(&file, markdown("One")).unwrap();
    let id =
        skills.add(Skill::url("a", "https://skills.example.com/SKILL.md")).await.unwrap().skill_id.clone();
    std::fs::write(&file, markdown("Two")).unwrap();
    let content = async || skills.get(&id).await.unwrap().into_inner().content.unwrap();
    assert_eq!(content().await, markdown("One"));
    skills.update(&id, UpdateSkill::again()).await.unwrap();
    assert_eq!(content().await, markdown("Two"));

    std::fs::write(&file, "# No skill").unwrap();
    let refused = skills.update(&id, UpdateSkill::again()).await.unwrap_err();
    assert_eq!(
        (refused.status(), refused.to_string().contains("front matter")),
        (Some(422), true),
        "{refused}"
    );
    std::fs::remove_file(&file).unwrap();
    let refused = skills.update(&id, UpdateSkill::again()).await.unwrap_err();
    assert!(refused.to_string().contains("status 404"), "{refused}");
    assert_eq!(content().await, markdown("Two"));
}

#[tokio::test]
async fn a_deployment_has_twenty_skills_and_no_name_twice() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy("say Hi").await);
    let skills = deployment.skills();
    let add = |name: &str| skills.add(Skill::inline(name, markdown("Any"))).into_future();
    for number in 0..19 {
        add(&format!("skill-{number}")).await.unwrap();
    }
    let taken = add("skill-3").await.unwrap_err();
    assert_eq!(taken.status(), Some(409), "{taken}");
    assert!(taken.to_string().contains("named 'skill-3' already"), "{taken}");
    // Of many for the last place, one gets it.
    let names: Vec<_> = (0..8).map(|number| format!("last-{number}")).collect();
    let added = join_all(names.iter().map(|name| add(name))).await;
    assert_eq!(added.iter().filter(|added| added.is_ok()).count(), 1, "{added:?}");
    for refused in added.into_iter().filter_map(Result::err) {
        assert_eq!(refused.status(), Some(400), "{refused}");
        assert!(refused.to_string().contains("at most 20 skills"), "{refused}");
    }
    assert_eq!(skills.list().await.unwrap().data.len(), 20);
}

#[tokio::test]
async fn of_two_skills_of_one_name_at_once_one_is_added() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy("say Hi").await);
    let skills = deployment.skills();
    let add = |number: usize| {
        skills.add(Skill::inline("notes", markdown(&format!("Number {number}")))).into_future()
    };
    let added = join_all((0..8).map(add)).await;
    assert_eq!(added.iter().filter(|added| added.is_ok()).count(), 1, "{added:?}");
    assert!(added.into_iter().filter_map(Result::err).all(|refused| refused.status() == Some(409)));
    assert_eq!(skills.list().await.unwrap().data.len(), 1);
}

#[tokio::test]
async fn bodies_that_do_not_fit_and_skills_of_others_are_refused() {
    let server = TestServer::start().await;
    let id = server.deploy("say Hi").await;
    let skill =
        server.client().deployment(&id).skills().add(Skill::inline("a", markdown("A"))).await.unwrap();
    let http = server.http();
    let path = format!("/v1/deployments/{id}/skills");
    for (body, status, told) in [
        (json!({}), 400, "$.name: is required"),
        (json!({"name": "a b", "source": "inline", "content": "x"}), 400, "$.name: must be 1 to 64"),
        (json!({"name": "b", "source": "inline", "url": "https://x/"}), 400, "$.url: does not go with"),
        (json!({"name": "b", "source": "inline", "content": "# No"}), 422, "Skill 'b' cannot be used"),
        (json!({"name": "b", "source": "url", "url": "http://127.0.0.1/"}), 422, "public address"),
        (json!({"name": "b", "source": "file", "path": "../x"}), 400, "$.path: "),
    ] {
        let answer = http.post(&path, &body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.message().contains(told), "{answer:?}");
    }
    let one = format!("{path}/{}", skill.skill_id);
    assert!(http.put(&one, &json!({"name": "b"})).await.message().contains("$.name: cannot be changed"));
    assert_eq!(http.put(&one, &json!({"source": "inline", "content": "# No"})).await.status, 422);
    let other = server.deploy("say Hi").await;
    let theirs = format!("/v1/deployments/{other}/skills/{}", skill.skill_id);
    assert_eq!(http.get(&theirs).await.status, 404);
    assert_eq!(http.put(&theirs, &json!({})).await.status, 404);
    assert_eq!(http.delete(&theirs).await.status, 404);
    assert_eq!(http.get(&one).await.body["content"], markdown("A"));
}

/// What kept a deployment from starting may be what is changed.
#[tokio::test]
async fn a_change_of_skills_starts_a_deployment_in_error_again() {
    let server = TestServer::start().await;
    let client = server.client();
    let request = CreateDeployment::new("cus_1", "Agent", scripted("provision fail no_luck Not today."))
        .runtime(prism_types::Runtime::Scripted);
    let id = client.deployments().create(request).await.unwrap().deployment_id.clone();
    client.deployments().wait_until_ready(&id).await.unwrap_err();
    client.deployment(&id).skills().add(Skill::inline("a", markdown("A"))).await.unwrap();
    let error = client.deployments().wait_until_ready(&id).await.unwrap_err();
    assert!(error.to_string().contains("Not today"), "it was tried once more: {error}");
}
