//! Figures, for people: run with `--run-ignored only`, in a release build.

use std::{sync::Arc, time::Instant};

use super::store;
use crate::{
    domain::deployment::Deployment,
    ports::{DeploymentFilter, ListQuery, Store as _, Write},
    testkit::store::{commit, records},
};

#[ignore = "a measurement, not a test"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_per_second() {
    let data = "x".repeat(200);
    for callers in [1, 64, 1, 64, 1, 64_u32] {
        let (directory, store) = store().await;
        let syncs = syncs_per_second(directory.path());
        let store = Arc::new(store);
        let deadline = Instant::now() + std::time::Duration::from_secs(3);
        let began = Instant::now();
        let tasks = (0..callers).map(|_| {
            let (store, data) = (store.clone(), data.clone());
            tokio::spawn(async move {
                let mut done = 0_u32;
                while Instant::now() < deadline {
                    commit(store.as_ref(), [Write::Append(records::event(1, &data))]).await.unwrap();
                    done += 1;
                }
                done
            })
        });
        let mut done = 0;
        for task in tasks.collect::<Vec<_>>() {
            done += task.await.unwrap();
        }
        let rate = f64::from(done) / began.elapsed().as_secs_f64();
        println!("{callers} callers: {rate:.0} commits/s; the disk alone: {syncs:.0} syncs/s");
    }
}

#[ignore = "a measurement, not a test"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads() {
    let (_directory, store) = store().await;
    let mut there = 1;
    for size in [1_000, 10_000, 100_000_u32] {
        while there < size {
            let batch = (there + 1..=size.min(there + 1000)).map(|number| {
                let customer_id = format!("cus_{}", number % 50);
                Write::InsertDeployment(Deployment { customer_id, ..records::deployment(1, number) })
            });
            let batch: Vec<_> = batch.collect();
            there += u32::try_from(batch.len()).unwrap();
            commit(&store, batch).await.unwrap();
        }
        let rounds = 20_000;
        let began = Instant::now();
        for round in 0..rounds {
            let number = 1 + round * 7919 % size;
            assert!(store.deployment(&records::id("dep_", number)).await.unwrap().is_some());
        }
        let point = began.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
        let mut pages = Vec::new();
        for customer_id in [None, Some("cus_7".to_owned())] {
            let filter = DeploymentFilter { customer_id, state: None };
            let began = Instant::now();
            for _ in 0..500 {
                let query = ListQuery { before: Some(records::id("dep_", size / 2)), limit: 20 };
                store.deployments(&records::id("ten_", 1), &filter, query).await.unwrap();
            }
            pages.push(began.elapsed().as_secs_f64() * 1e6 / 500.0);
        }
        println!(
            "{size} deployments: point read {point:.1} us; page of 20 {:.0} us, of one customer {:.0} us",
            pages[0], pages[1]
        );
    }
}

/// What the disk can do without a database: 4 KiB appended and synced.
fn syncs_per_second(directory: &std::path::Path) -> f64 {
    use std::io::Write as _;
    let mut file = std::fs::File::create(directory.join("syncs")).unwrap();
    let began = Instant::now();
    let mut syncs = 0.0;
    while began.elapsed().as_secs_f64() < 1.0 {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        syncs += 1.0;
    }
    syncs / began.elapsed().as_secs_f64()
}
