//! Being told of deaths.

use tokio::{
    io,
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use super::*;

#[derive(Default)]
struct Deaths(Mutex<Vec<InstanceId>>);

impl Deaths {
    async fn told_of(&self, id: &InstanceId) {
        until("the death is told", || async { self.0.lock().unwrap().contains(id) }).await;
    }
}

impl SandboxListener for Deaths {
    fn died(&self, id: &InstanceId) {
        self.0.lock().unwrap().push(id.clone());
    }
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_deaths_are_told_and_removals_are_not() {
    let gateway = Gateway::new();
    let deaths = Arc::new(Deaths::default());
    gateway.sandbox.set_listener(deaths.clone());
    let [killed, ended, removed] = ["", "sys.exit(0)", ""].map(|script| request(gateway.program(script)));
    for request in [&killed, &ended, &removed] {
        gateway.run(request).await;
    }
    deaths.told_of(&ended.instance_id).await;
    gateway.sandbox.remove(&removed.instance_id).await.unwrap();
    gateway.kill(&killed.instance_id).await;
    // Events keep their order: once this one was told, the removal would have been.
    deaths.told_of(&killed.instance_id).await;
    assert!(!deaths.0.lock().unwrap().contains(&removed.instance_id));
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_deaths_of_another_gateways_sandboxes_are_not_told() {
    let (one, two) = (Gateway::new(), Gateway::new());
    let deaths = Arc::new(Deaths::default());
    one.sandbox.set_listener(deaths.clone());
    let [theirs, ours] = [&two, &one].map(|gateway| request(gateway.program("sys.exit(0)")));
    two.run(&theirs).await;
    one.run(&ours).await;
    deaths.told_of(&ours.instance_id).await;
    assert!(!deaths.0.lock().unwrap().contains(&theirs.instance_id));
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_deaths_are_told_that_happened_while_the_engine_was_away() {
    let gateway = Gateway::new();
    let road = gateway.files.path().join("engine.sock");
    let mut road_works = open_road(&road);
    let engine = Engine::connect_to(&format!("unix://{}", road.display())).unwrap();
    let watching = DockerSandbox::on(engine, gateway.owner.clone());
    let deaths = Arc::new(Deaths::default());
    watching.set_listener(deaths.clone());
    let [before, meanwhile, after] = [(); 3].map(|()| request(gateway.program("")));
    for request in [&before, &meanwhile, &after] {
        gateway.run(request).await;
    }
    gateway.kill(&before.instance_id).await;
    deaths.told_of(&before.instance_id).await;

    road_works.shutdown().await;
    fs::remove_file(&road).unwrap();
    gateway.kill(&meanwhile.instance_id).await;
    let _road_works = open_road(&road);
    deaths.told_of(&meanwhile.instance_id).await;
    gateway.kill(&after.instance_id).await;
    deaths.told_of(&after.instance_id).await;
}

#[tokio::test]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn docker_watching_ends_with_the_sandboxes() {
    let gateway = Gateway::new();
    let deaths = Arc::new(Deaths::default());
    let sandbox = DockerSandbox::connect(gateway.owner.clone()).unwrap();
    sandbox.set_listener(deaths.clone());
    assert!(Arc::strong_count(&deaths) > 1);
    drop(sandbox);
    until("the listener is let go", || async { Arc::strong_count(&deaths) == 1 }).await;
}

/// A socket that leads to the engine, for as long as the tasks live.
fn open_road(socket: &Path) -> JoinSet<()> {
    let listener = UnixListener::bind(socket).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut roads = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            roads.spawn(async move {
                let mut far = UnixStream::connect("/var/run/docker.sock").await.unwrap();
                io::copy_bidirectional(&mut near, &mut far).await.ok();
            });
        }
    });
    tasks
}
