//! Making, finding, removing.

use super::*;
use crate::testkit;

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_sandboxes_pass_the_conformance_suite() {
    let gateway = Gateway::new();
    assert_eq!(gateway.sandbox.kind(), SandboxType::Docker);
    testkit::sandbox::conforms(gateway.sandbox.as_ref()).await;
    assert_eq!(gateway.sandbox.list().await, Ok(Vec::new()), "the suite removes what it made");
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_engine_and_image_are_found_by_a_check() {
    let gateway = Gateway::with(|sandbox| sandbox.image(Runtime::Scripted, "prism-test:none"));
    let check = gateway.sandbox.check().await.unwrap();
    assert!(!check.version.is_empty());
    let images: Vec<_> = check.images.iter().map(|image| (image.runtime.as_str(), image.present)).collect();
    assert_eq!(images, [("hermes", true), ("scripted", false)]);
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_concurrent_ensures_make_one_container() {
    let gateway = Gateway::new();
    let request = request(gateway.program(""));
    let ensures = (0..8).map(|_| gateway.run(&request));
    for instance in futures::future::join_all(ensures).await {
        instance.write_file(&path("same"), b"1".to_vec()).await.unwrap();
    }
    assert_eq!(gateway.sandbox.engine.containers(&gateway.owner, false).await.unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_home_is_kept_and_the_workspace_when_it_is_persistent() {
    let gateway = Gateway::new();
    for persistent in [true, false] {
        let mut request = request(gateway.program(
            "runs = os.path.join(os.environ['PRISM_HOME'], 'runs')
open(runs, 'a').write('x')
open('/workspace/.out', 'w').write(open(runs).read())
os.rename('/workspace/.out', '/workspace/run-' + str(os.path.getsize(runs)))",
        ));
        request.persistent = persistent;
        let id = &request.instance_id;
        let first = gateway.run(&request).await;
        assert_eq!(file(&first, "run-1").await, b"x");
        gateway.kill(id).await;
        assert!(gateway.sandbox.find(id).await.unwrap().is_none(), "a dead one is not found");
        assert_eq!(gateway.sandbox.list().await, Ok(vec![id.clone()]), "but listed");
        assert_eq!(first.read_file(&path("run-1")).await, Err(SandboxError::Gone));
        assert!(first.output().await.is_ok(), "its output can still be read");
        let second = gateway.run(&request).await;
        assert_eq!(file(&second, "run-2").await, b"xx");
        let kept = second.read_file(&path("run-1")).await.unwrap();
        assert_eq!(kept.is_some(), persistent);
        gateway.sandbox.remove(id).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_removing_leaves_nothing() {
    let gateway = Gateway::new();
    let request = request(gateway.program(""));
    let id = &request.instance_id;
    gateway.run(&request).await;
    let engine = &gateway.sandbox.engine;
    assert_eq!(engine.volumes(&gateway.owner).await.unwrap().len(), 2);
    gateway.sandbox.remove(id).await.unwrap();
    assert!(engine.container(&container::name(id)).await.unwrap().is_none());
    assert_eq!(engine.volumes(&gateway.owner).await.unwrap().len(), 0);
    // Volumes alone are found and removed too.
    gateway.run(&request).await;
    engine.remove_container(&container::name(id)).await.unwrap();
    assert_eq!(gateway.sandbox.list().await, Ok(vec![id.clone()]));
    gateway.sandbox.remove(id).await.unwrap();
    assert_eq!(gateway.sandbox.list().await, Ok(Vec::new()));
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_gateways_of_one_engine_leave_each_other_alone() {
    let (one, two) = (Gateway::new(), Gateway::new());
    let request = request(one.program(""));
    let id = &request.instance_id;
    let instance = one.run(&request).await;
    instance.write_file(&path("a"), b"1".to_vec()).await.unwrap();
    assert!(two.sandbox.find(id).await.unwrap().is_none());
    assert_eq!(two.sandbox.list().await, Ok(Vec::new()));
    two.sandbox.remove(id).await.unwrap();
    assert_eq!(file(&instance, "a").await, b"1", "the other did not remove it");
    let refused = two.sandbox.ensure(request.clone()).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("which this gateway did not make"), "{refused}");
    // Nor does it take volumes that have no container.
    one.sandbox.engine.remove_container(&container::name(id)).await.unwrap();
    let refused = two.sandbox.ensure(request.clone()).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("which this gateway did not make"), "{refused}");
    assert_eq!(one.sandbox.list().await, Ok(vec![id.clone()]));
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_failures_to_start_say_why() {
    let gateway = Gateway::with(|sandbox| sandbox.image(Runtime::Hermes, "prism-test:none"));
    let program = gateway.program("");
    let missing = gateway.sandbox.ensure(request(program.clone())).await.map(drop);
    let text = "the Docker Engine has no image prism-test:none: build it with `just image`, \
        or configure one that it has";
    assert_eq!(missing, Err(SandboxError::Unavailable(text.to_owned())));
    let other = Program::new(Runtime::Scripted, program.files.clone(), "x");
    let unknown = gateway.sandbox.ensure(request(other)).await.map(drop);
    let text = "no image is configured for the runtime `scripted` in sandboxes of type `docker`";
    assert_eq!(unknown, Err(SandboxError::Unavailable(text.to_owned())));

    let gateway = Gateway::new();
    let nowhere = Program::new(Runtime::Hermes, gateway.files.path().join("nowhere"), "x");
    let refused = gateway.sandbox.ensure(request(nowhere)).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("does not exist"), "{refused}");
    // A program that ends at once is a sandbox that died, and says why as long as it is there.
    let failing = request(gateway.program("sys.exit('no reason at all')"));
    let instance = gateway.run(&failing).await;
    let says = || async { instance.output().await.unwrap().contains("no reason at all") };
    until("the program says why", says).await;
    let dead = || async { gateway.sandbox.find(&failing.instance_id).await.unwrap().is_none() };
    until("it is dead", dead).await;
}

#[test]
fn an_engine_that_is_not_there_is_told_with_what_to_do() {
    let refused = |host| Engine::connect_to(host).map(drop).unwrap_err().to_string();
    let missing = refused("unix:///nowhere/docker.sock");
    assert_eq!(
        missing,
        "no Docker Engine answers at unix:///nowhere/docker.sock: start it, or set DOCKER_HOST"
    );
    let unknown = refused("ssh://somewhere");
    assert_eq!(unknown, "DOCKER_HOST is \"ssh://somewhere\": it has to begin with unix:// or tcp://");
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_told_with_what_to_do() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let engine = Engine::connect_to(&format!("tcp://{closed}")).unwrap();
    let text = format!("no Docker Engine answers at tcp://{closed}: start it, or set DOCKER_HOST");
    assert_eq!(engine.version().await, Err(SandboxError::Unavailable(text)));
}

#[test]
fn turns_of_nobody_are_forgotten() {
    let turns = Turns::default();
    let (one, two) = (new_id(), new_id());
    let turn = turns.of(&one);
    assert!(Arc::ptr_eq(&turn, &turns.of(&one)));
    drop(turn);
    let _turn = turns.of(&two);
    assert_eq!(turns.0.lock().unwrap().len(), 1);
}
