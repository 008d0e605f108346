//! Versions: what a deployment runs, and the bundles that fill them.

use std::{
    fs::File,
    io::{self, Seek},
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, pin_mut};
use prism_types::{DeploymentId, InstanceId, Problem, SandboxType, VersionId};
use tokio::io::AsyncWriteExt;

use super::{get as deployment, services::pending, version};
use crate::{
    bundle::{self, BundleError, Owner},
    core::Core,
    domain::{
        audit::Subject,
        idempotency::Reply,
        program::{
            config::ProgramConfig,
            manifest::{BundleLimits, Manifest},
            version::{Build, BuildState, CachePolicy, Version, VersionCommand, VersionState},
        },
        tenant::Principal,
    },
    error::{Error, ErrorKind, Result},
    ids::NewId,
    ports::{Commit, ListQuery, Sandbox, Write},
    service::{Attempt, Listed, Tell, author::Author, with_retries},
};

/// Where the files of a bundle are in the workspace.
const PROJECT: &str = "project";
/// Whom the files belong to: who runs programs in containers.
const OWNER: Owner = Owner { user: 10001, group: 10001 };
/// Longest configuration, and longest manifest without its entries, in bytes of JSON: each list has many of them.
const HEAD: usize = 192 * 1024;
/// How many versions before it are looked at for a build that a new one can use.
const BUILDS_TO_LOOK_AT: u32 = 50;

/// A version to create.
#[derive(Debug, Clone)]
pub(crate) struct NewVersion {
    pub(crate) bundle_digest: String,
    /// JSON.
    pub(crate) manifest: String,
    /// JSON.
    pub(crate) config: String,
    pub(crate) cache: CachePolicy,
}

/// Creates a version, which waits for its bundle.
pub(crate) async fn create(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    new: NewVersion,
    tell: impl Tell<Version>,
) -> Result<Reply> {
    let before = deployment(core, &author.principal, id).await?;
    let sandbox = hosting_sandbox(core)?;
    let NewVersion { bundle_digest, manifest, config, cache } = new;
    let digest = bundle_digest.clone();
    let limits = core.settings.bundle_limits;
    // It takes time with the number of files.
    let checked = tokio::task::spawn_blocking(move || {
        let (checked, parsed) = check(&bundle_digest, &manifest, &config, limits)?;
        let head = head(checked, &config)?;
        Ok::<_, Error>((parsed, head, manifest, config))
    });
    let (parsed, head, manifest, config) = checked.await.map_err(Error::internal)??;
    if parsed.mode != before.mode {
        let (is, given) = (before.mode.as_str(), parsed.mode.as_str());
        let message = format!("must be `{is}`, the mode of the deployment, but is `{given}`");
        return Err(Error::invalid(vec![Problem::new("$.config.mode", message)]));
    }
    let version_id = VersionId::generate();
    let instance_id = InstanceId::generate();
    let told = std::sync::OnceLock::new();
    with_retries(|| async {
        let mut deployment = deployment(core, &author.principal, id).await?;
        deployment.last_version = deployment.last_version.saturating_add(1);
        deployment.updated_at = core.clock.now();
        let version = Version {
            id: version_id.clone(),
            deployment_id: id.clone(),
            number: deployment.last_version,
            bundle_digest: digest.clone(),
            manifest: head.clone(),
            config: config.clone(),
            sandbox: sandbox.clone(),
            cache,
            state: VersionState::Created,
            instance_id: instance_id.clone(),
            build: None,
            failure: None,
            created_at: core.clock.now(),
            ready_at: None,
            revision: 0,
        };
        let reply = tell(version.clone())?;
        let commit = Commit::new()
            .with(Write::UpdateProgram(deployment))
            .with(Write::InsertInstance(pending(&instance_id, id)))
            .with(Write::InsertVersion(version))
            .with(Write::PutManifest(id.clone(), version_id.clone(), manifest.clone()))
            .with(author.entry(core, Subject::in_deployment(id, &version_id)))
            .with_all(author.kept(core, &reply)?);
        core.store.commit(commit).await?;
        told.set(reply).ok();
        Ok::<_, Attempt>(())
    })
    .await?;
    told.into_inner().ok_or_else(|| Error::internal("a version was created without an answer"))
}

/// A version of a deployment of the caller's tenant, with its whole manifest.
pub(crate) async fn get(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    version_id: &VersionId,
) -> Result<(Version, String)> {
    deployment(core, principal, id).await?;
    let version = version(core, id, version_id).await?;
    let manifest = manifest(core, version_id).await?;
    Ok((version, manifest))
}

/// Versions of a deployment of the caller's tenant, newest first.
pub(crate) async fn list(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    state: Option<VersionState>,
    query: ListQuery<VersionId>,
) -> Result<Listed<Version, VersionId>> {
    deployment(core, principal, id).await?;
    let limit = query.limit;
    let items = core.store.versions(id, state, ListQuery { limit: limit + 1, ..query }).await?;
    Ok(Listed::from_one_more(items, limit, |version| version.id.clone()))
}

/// The most bytes that the archive of a version can have; `None`: it has its bundle, and needs none.
pub(crate) async fn wants(
    core: &Core,
    principal: &Principal,
    id: &DeploymentId,
    version_id: &VersionId,
    digest: &str,
) -> Result<Option<u64>> {
    let (version, manifest) = get(core, principal, id, version_id).await?;
    if version.bundle_digest != digest {
        let message = format!("must be the digest of the version's bundle, {}", version.bundle_digest);
        return Err(Error::invalid(vec![Problem::new("header.x-nullspace-bundle-digest", message)]));
    }
    if version.state.is_usable() {
        return Ok(None);
    }
    Ok(Some(parsed_manifest(manifest).await?.most_archive_bytes()))
}

/// Fills a version with its bundle, an uncompressed tar: it is checked whole before anything of it is used. The version
/// becomes the active one.
pub(crate) async fn fill(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    version_id: &VersionId,
    archive: impl Stream<Item = Result<Bytes>> + Send,
) -> Result<(Version, String)> {
    let spooled = spooled(archive).await?;
    // One after the other, so that none is unpacked over another's files.
    let _turn = core.uploads.lock().await;
    let (version, manifest) = get(core, &author.principal, id, version_id).await?;
    if version.state.is_usable() {
        return Ok((version, manifest));
    }
    let limits = core.settings.bundle_limits;
    let checked = match checked(parsed_manifest(manifest.clone()).await?, limits, spooled).await? {
        Ok(checked) => checked,
        Err(refusal) => {
            refuse(core, author, id, version_id, &refusal.to_string()).await?;
            let message = format!("The bundle is not what its manifest says: {refusal}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
    };
    let sandboxes = core.sandbox(&version.sandbox).ok_or_else(no_hosting)?;
    let hosting = sandboxes.hosting().ok_or_else(no_hosting)?;
    let filled = async {
        hosting.unpack(id, &version.instance_id, checked).await.map_err(Error::internal)?;
        activate(core, author, id, version_id, wanted_build(core, &version).await?).await
    };
    let filled = filled.await;
    if filled.is_err() && core.store.version(version_id).await?.is_none() {
        // The deployment was deleted meanwhile, and with it whoever would remove the files.
        sandboxes.remove(&version.instance_id).await.map_err(Error::internal)?;
    }
    core.nudges.programs();
    Ok((filled?, manifest))
}

/// Makes a version whose files are there the active one of its deployment.
async fn activate(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    version_id: &VersionId,
    build: Option<Build>,
) -> Result<Version> {
    with_retries(|| async {
        let mut deployment = deployment(core, &author.principal, id).await?;
        let mut version = super::version(core, id, version_id).await?;
        version.apply(VersionCommand::Fill)?;
        version.failure = None;
        version.ready_at = Some(core.clock.now());
        version.build = build.clone();
        let mut commit = Commit::new();
        if let Some(before) = &deployment.active_version {
            let mut before = super::version(core, id, before).await?;
            before.apply(VersionCommand::Supersede)?;
            commit = commit.with(Write::UpdateVersion(before));
        }
        if let Some(build) = version.build.as_ref().filter(|build| build.state == BuildState::Queued) {
            commit = commit.with(Write::InsertInstance(pending(&build.instance_id, id)));
        }
        deployment.active_version = Some(version_id.clone());
        deployment.updated_at = core.clock.now();
        let commit = commit
            .with(Write::UpdateProgram(deployment))
            .with(Write::UpdateVersion(version.clone()))
            .with(author.entry(core, Subject::in_deployment(id, version_id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(version)
    })
    .await
}

/// An upload, on the disk: it may take long, and nobody waits for it on a thread.
async fn spooled(archive: impl Stream<Item = Result<Bytes>> + Send) -> Result<File> {
    let spool = tempfile::tempfile().map_err(Error::internal)?;
    let mut file = tokio::fs::File::from_std(spool);
    pin_mut!(archive);
    while let Some(piece) = archive.next().await {
        file.write_all(&piece?).await.map_err(Error::internal)?;
    }
    file.flush().await.map_err(Error::internal)?;
    let mut file = file.into_std().await;
    file.rewind().map_err(Error::internal)?;
    Ok(file)
}

/// What is in an archive, as an archive of our own, once all of it was checked; or what is wrong with it.
async fn checked(
    manifest: Manifest,
    limits: BundleLimits,
    archive: File,
) -> Result<std::result::Result<File, BundleError>> {
    let directory = PROJECT.parse().map_err(|_| Error::internal("the directory of projects has no name"))?;
    let checking = tokio::task::spawn_blocking(move || {
        let mut clean = tempfile::tempfile()?;
        let checked = bundle::check(archive, &manifest, limits, &directory, OWNER, &clean);
        clean.rewind()?;
        Ok::<_, io::Error>(checked.map(|_| clean))
    });
    match checking.await.map_err(Error::internal)?.map_err(Error::internal)? {
        Err(error) if !error.is_refusal() => Err(Error::internal(error)),
        checked => Ok(checked),
    }
}

async fn refuse(
    core: &Core,
    author: &Author,
    id: &DeploymentId,
    version_id: &VersionId,
    reason: &str,
) -> Result<()> {
    with_retries(|| async {
        let mut version = version(core, id, version_id).await?;
        if version.state.is_usable() {
            return Ok(());
        }
        version.apply(VersionCommand::Fail)?;
        version.failure = Some(reason.to_owned());
        let commit = Commit::new()
            .with(Write::UpdateVersion(version))
            .with(author.entry(core, Subject::in_deployment(id, version_id)));
        core.store.commit(commit).await?;
        Ok::<_, Attempt>(())
    })
    .await
}

/// The build of a version that has just got its bundle: one of an earlier version of the same files, or one to be made.
async fn wanted_build(core: &Core, version: &Version) -> Result<Option<Build>> {
    let config = super::services::config(version)?;
    if config.install.is_none() {
        return Ok(None);
    }
    match version.cache {
        CachePolicy::NoCache => Ok(None),
        CachePolicy::Rebuild => Ok(Some(Build {
            instance_id: InstanceId::generate(),
            state: BuildState::Queued,
            failure: None,
            started_at: None,
            ended_at: None,
        })),
        CachePolicy::Auto => {
            let query = ListQuery { before: None, limit: BUILDS_TO_LOOK_AT };
            let others = core.store.versions(&version.deployment_id, None, query).await?;
            let mut same = others.into_iter().filter(|other| {
                (&other.bundle_digest, &other.config, &other.sandbox)
                    == (&version.bundle_digest, &version.config, &version.sandbox)
            });
            Ok(same.find_map(|other| other.build.filter(|build| build.state == BuildState::Ready)))
        }
    }
}

/// The kind of sandboxes that new versions and machines get.
pub(crate) fn hosting_sandbox(core: &Core) -> Result<SandboxType> {
    let default = core.sandbox(&core.settings.default_sandbox);
    let all = default.into_iter().chain(core.sandboxes.values());
    let hosting = all.into_iter().find(|sandboxes: &&Arc<dyn Sandbox>| sandboxes.hosting().is_some());
    hosting.map(|sandboxes| sandboxes.kind()).ok_or_else(no_hosting)
}

fn no_hosting() -> Error {
    let message =
        "This server has no sandboxes that run programs: it needs some of type `docker` or `process`.";
    Error::new(ErrorKind::Unavailable, message)
}

fn check(
    bundle_digest: &str,
    manifest: &str,
    config: &str,
    limits: BundleLimits,
) -> Result<(Manifest, ProgramConfig)> {
    let mut problems = Vec::new();
    let config: serde_json::Value = serde_json::from_str(config).map_err(Error::internal)?;
    let config = ProgramConfig::parse(&config).map_err(|found| problems.extend(found));
    let manifest = Manifest::parse(manifest, limits).map_err(|found| problems.extend(found));
    if let Ok(manifest) = &manifest
        && String::from(manifest.bundle_digest) != bundle_digest
    {
        let message = "must be the `bundle_digest` of the manifest";
        problems.push(Problem::new("$.bundle_digest", message));
    }
    match (manifest, config) {
        (Ok(manifest), Ok(config)) if problems.is_empty() => Ok((manifest, config)),
        _ => Err(Error::invalid(problems)),
    }
}

async fn manifest(core: &Core, version: &VersionId) -> Result<String> {
    core.store.manifest(version).await?.ok_or_else(|| Error::internal("a version has no manifest"))
}

/// A manifest that was checked when it came.
async fn parsed_manifest(manifest: String) -> Result<Manifest> {
    // The limits may have become lower since.
    let unlimited = BundleLimits { bytes: u64::MAX, files: u64::MAX };
    let parsed = tokio::task::spawn_blocking(move || Manifest::parse(&manifest, unlimited)).await;
    parsed.map_err(Error::internal)?.map_err(|_| Error::internal("a manifest is not what it was"))
}

/// The manifest without its entries, as JSON, which is told where there are many versions.
fn head(manifest: Manifest, config: &str) -> Result<String> {
    let mut head = Manifest { entries: Vec::new(), ..manifest };
    let text = |head: &Manifest| serde_json::to_string(head).map_err(Error::internal);
    if text(&head)?.len() > HEAD {
        // They only tell how the bundle was made.
        head.include_patterns.clear();
        head.exclude_patterns.clear();
        head.default_exclude_patterns.clear();
    }
    if config.len() > HEAD {
        let message = format!("must have at most {HEAD} bytes of JSON, but has {}", config.len());
        return Err(Error::invalid(vec![Problem::new("$.config", message)]));
    }
    text(&head)
}
