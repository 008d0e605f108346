//! Who may pass, and what is told to whom.

use std::sync::atomic::Ordering::Relaxed;

use axum::{Router, body::Body, extract::Request};
use http::header::{COOKIE, SET_COOKIE};

use super::world::{App, LABEL, World, bytes, refused, service, text};
use crate::edge::Service;

fn world() -> World {
    World::new(App::Router(Router::new().fallback(async || "hello")))
}

fn get(target: &str) -> Request {
    Request::get(target).body(Body::empty()).unwrap()
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn nothing_is_learnt_without_a_token() {
    let world = world();
    let mut answers = Vec::new();
    for label in [LABEL, "8000-s-other", "1-s-abc"] {
        for query in ["", "?edge_token=", "?edge_token=x", "?a=b"] {
            let request = Request::get(format!("/edge/{label}/{query}")).header("x-request-id", "r");
            let response = world.send(request.body(Body::empty()).unwrap()).await;
            let (head, body) = (format!("{:?}", response.headers()), bytes(response).await.unwrap());
            answers.push((query, head, body));
        }
    }
    let (known, others) = answers.split_at(4);
    assert!(others.chunks(4).all(|other| other == known), "{answers:?}");
    assert_eq!(world.directory.asked.load(Relaxed), 0);
    assert_eq!(world.sandbox.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_reason_has_a_code() {
    let world = world();
    let at = |query: &str| world.send(get(&format!("/edge/{LABEL}/{query}")));
    assert_eq!(refused(at("").await).await, refusal(401, "edge_token_missing"));
    assert_eq!(refused(at("?edge_token=x").await).await, refusal(401, "edge_token_invalid"));
    let token = world.token();
    let twice = at(&format!("?edge_token={token}&edge_token={token}")).await;
    assert_eq!(refused(twice).await, refusal(401, "edge_token_invalid"));
    let others = [
        Service { port: 8001, ..service() },
        Service { instance: "ins_b".parse().unwrap(), ..service() },
        Service { tenant: "ten_2".parse().unwrap(), ..service() },
        Service { deployment: "dep_2".parse().unwrap(), ..service() },
    ];
    for other in others {
        let response = at(&format!("?edge_token={}", world.token_for(&other))).await;
        assert_eq!(refused(response).await, refusal(403, "edge_token_scope_mismatch"), "{other:?}");
    }
    let now = format!("?edge_token={token}");
    assert_eq!(text(at(&now).await).await, "hello");

    world.clock.put(15 * 60 * 1000 - 1);
    assert_eq!(text(at(&now).await).await, "hello");
    world.clock.put(1);
    assert_eq!(refused(at(&now).await).await, refusal(401, "edge_token_expired"));

    world.change(|target| target.is_ready = false);
    assert_eq!(refused(world.get("/").await).await, refusal(503, "sandbox_not_ready"));
    world.change(|target| target.is_public = false);
    assert_eq!(refused(world.get("/").await).await, refusal(403, "preview_grant_disabled"));
    world.change(|target| target.service.epoch = 2);
    assert_eq!(refused(world.get("/").await).await, refusal(401, "preview_grant_revoked"));
    world.directory.clear();
    assert_eq!(refused(world.get("/").await).await, refusal(404, "agent_service_instance_not_found"));
    world.directory.fails.store(true, Relaxed);
    assert_eq!(refused(world.get("/").await).await, refusal(503, "database_error"));
}

#[tokio::test]
async fn private_traffic_takes_a_header_besides() {
    let world = world();
    world.change(|target| target.allows_public_traffic = false);
    let with = |value: &str| {
        let request = Request::get(world.path("/")).header("x-nullspace-traffic-access-token", value);
        world.send(request.body(Body::empty()).unwrap())
    };
    let wrong = refusal(403, "traffic_access_token_invalid");
    assert_eq!(refused(world.get("/").await).await, wrong);
    assert_eq!(refused(with("x").await).await, wrong);
    let other = Service { instance: "ins_other".parse().unwrap(), ..service() };
    assert_eq!(refused(with(world.urls.traffic_token(&other).expose()).await).await, wrong);
    assert_eq!(text(with(world.urls.traffic_token(&service()).expose()).await).await, "hello");
}

/// The continuation cookie that an answer sets, with its attributes.
async fn cookie(world: &World) -> (String, String) {
    let response = world.get("/").await;
    let set: Vec<_> = response.headers().get_all(SET_COOKIE).iter().collect();
    let [set] = set.as_slice() else { panic!("{set:?}") };
    assert!(set.is_sensitive());
    let (cookie, attributes) = set.to_str().unwrap().split_once("; ").unwrap();
    (cookie.to_owned(), attributes.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_cookie_goes_on_for_a_token() {
    let world = world();
    let (cookie, attributes) = cookie(&world).await;
    assert_eq!(attributes, format!("Path=/edge/{LABEL}/; Max-Age=900; HttpOnly; SameSite=Lax"));
    let with = |cookies: &str| {
        let request = Request::get(format!("/edge/{LABEL}/app.js")).header(COOKIE, cookies);
        world.send(request.body(Body::empty()).unwrap())
    };
    let response = with(&format!("a=1; {cookie}")).await;
    assert!(!response.headers().contains_key(SET_COOKIE), "a cookie is not renewed by itself");
    assert_eq!(text(response).await, "hello");
    // Scripts at the same origin can set others of the same name.
    assert_eq!(text(with(&format!("edge_session=x; {cookie}")).await).await, "hello");
    let flood = "edge_session=x; ".repeat(4);
    assert_eq!(refused(with(&format!("{flood}{cookie}")).await).await, refusal(401, "edge_token_invalid"));
    // A token in the URL counts, also when it is not good.
    let request = Request::get(format!("/edge/{LABEL}/?edge_token=x")).header(COOKIE, &cookie);
    let response = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(refused(response).await, refusal(401, "edge_token_invalid"));

    world.change(|target| target.service.epoch = 2);
    assert_eq!(refused(with(&cookie).await).await, refusal(401, "preview_grant_revoked"));
    world.clock.put(15 * 60 * 1000);
    assert_eq!(refused(with(&cookie).await).await, refusal(401, "edge_token_expired"));
}

#[tokio::test]
async fn neither_is_taken_for_the_other_and_no_upgrade_by_cookie() {
    let world = world();
    let (cookie, _) = cookie(&world).await;
    let value = cookie.split_once('=').unwrap().1;
    let response = world.send(get(&format!("/edge/{LABEL}/?edge_token={value}"))).await;
    assert_eq!(refused(response).await, refusal(401, "edge_token_invalid"));
    let with = |cookie: String, upgrade: bool| {
        let mut request = Request::get(format!("/edge/{LABEL}/")).header(COOKIE, cookie);
        if upgrade {
            request = request.header("connection", "Upgrade").header("upgrade", "websocket");
        }
        world.send(request.body(Body::empty()).unwrap())
    };
    let token = format!("edge_session={}", world.token());
    assert_eq!(refused(with(token, false).await).await, refusal(401, "edge_token_invalid"));
    assert_eq!(refused(with(cookie, true).await).await, refusal(401, "edge_token_missing"));
}

#[tokio::test(start_paused = true)]
async fn over_tls_the_cookie_stays_there() {
    let over_tls = |url: &str, domain: Option<&str>| {
        World::with(App::Router(Router::new().fallback(async || "hello")), |options| {
            options.settings.public_url = Some(url.to_owned());
            options.settings.edge_domain = domain.map(|domain| domain.parse().unwrap());
        })
    };
    let (cookie, attributes) = cookie(&over_tls("https://a.example/x", None)).await;
    assert!(cookie.starts_with("edge_session="));
    assert_eq!(attributes, format!("Path=/x/edge/{LABEL}/; Max-Age=900; HttpOnly; SameSite=Lax; Secure"));

    let world = over_tls("https://a.example", Some("edge.example"));
    let request = Request::get(format!("/?edge_token={}", world.token()));
    let request = request.header("host", format!("{LABEL}.edge.example"));
    let response = world.send(request.body(Body::empty()).unwrap()).await;
    let set = response.headers()[SET_COOKIE].to_str().unwrap();
    assert!(set.starts_with("__Host-edge_session="), "{set}");
    assert!(set.ends_with("; Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure"), "{set}");
}
