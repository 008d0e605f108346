//! Files of workspaces. A directory is there as long as something is in it.

use std::collections::BTreeMap;

use bytes::Bytes;
use prism_types::{
    Cursor, DeletedFile, DeploymentId, FileChange, FileEntry, FileList, FileType, FileWritten, Timestamp,
};

use super::{
    check,
    state::{Agent, File, Fresh, State},
};
use crate::mock::{
    Answer, Content, Refusal, Reply, Request,
    query::{FilePath, ListFiles},
};

impl State {
    pub(super) fn list_files(&mut self, _: &Request, id: DeploymentId, query: ListFiles) -> Answer<FileList> {
        let agent = self.agents.get(&id)?;
        agent.is_ready()?;
        let path = directory(query.path.as_deref().unwrap_or_default())?;
        if agent.files.contains_key(&path) {
            return Err(Refusal::bad("The path is a file and not a directory"));
        }
        let entries = entries(&agent.files, &path);
        if entries.is_empty() && !path.is_empty() {
            return Err(Refusal::not_found("Directory"));
        }
        let limit = query.limit.unwrap_or(10_000);
        if !(1..=10_000).contains(&limit) {
            return Err(Refusal::invalid("query.limit", "must be a whole number from 1 to 10000"));
        }
        let after = query.cursor.as_ref().map(|cursor| cursor.as_str().trim_start_matches("after."));
        let mut left =
            entries.into_iter().filter(|entry| after.is_none_or(|after| entry.name.as_str() > after));
        let page: Vec<_> = left.by_ref().take(limit as usize).collect();
        let last = page.last().map(|entry| entry.name.clone()).unwrap_or_default();
        let next = left.next().map(|_| Cursor::from(format!("after.{last}")));
        Ok(FileList::new(path, page, next).into())
    }

    pub(super) fn read_file(&mut self, call: &Request, id: DeploymentId, query: FilePath) -> Answer<Content> {
        let agent = self.agents.get(&id)?;
        agent.is_ready()?;
        let path = file(query)?;
        let Some(found) = agent.files.get(&path) else { return Err(agent.no_file(&path)) };
        let tag = found.tag();
        check::is_what_was_read(call, &tag)?;
        if call.header("if-none-match").is_some_and(|known| check::names(known, &tag)) {
            return Err(Refusal::without_body(304).header("etag", tag));
        }
        Ok(Reply::new(Content::new(found.bytes.clone())).etag(tag))
    }

    pub(super) fn write_file(
        &mut self,
        call: &Request,
        id: DeploymentId,
        query: FilePath,
        content: Bytes,
    ) -> Answer<FileWritten> {
        let agent = self.agents.get_mut(&id)?;
        agent.is_ready()?;
        let path = file(query)?;
        agent.has_room_for(&path)?;
        agent.holds(call, &path)?;
        let size = content.len() as u64;
        let change = agent.put_file(&path, content, &mut self.fresh);
        agent.tell_file(change, path.clone(), None);
        let (tag, at) = agent.files.get(&path).map(|file| (file.tag(), file.modified_at)).unzip();
        let written = FileWritten::new(path, size, at.unwrap_or(Timestamp::UNIX_EPOCH));
        Ok(Reply::new(written).etag(tag.unwrap_or_default()))
    }

    pub(super) fn delete_file(
        &mut self,
        call: &Request,
        id: DeploymentId,
        query: FilePath,
    ) -> Answer<DeletedFile> {
        let agent = self.agents.get_mut(&id)?;
        agent.is_ready()?;
        let path = file(query)?;
        let below = format!("{path}/");
        let is_meant = |other: &String| *other == path || other.starts_with(&below);
        if !agent.files.keys().any(is_meant) {
            return Err(Refusal::not_found("File"));
        }
        agent.holds(call, &path)?;
        agent.files.retain(|other, _| !is_meant(other));
        agent.tell_file(FileChange::Deleted, path.clone(), None);
        Ok(DeletedFile::new(path).into())
    }
}

impl File {
    fn tag(&self) -> String {
        format!("\"f{}\"", self.version)
    }
}

impl Agent {
    /// Puts a file into its place.
    pub(super) fn put_file(&mut self, path: &str, bytes: Bytes, fresh: &mut Fresh) -> FileChange {
        let file = File { bytes, version: fresh.number(), modified_at: fresh.now() };
        match self.files.insert(path.to_owned(), file) {
            Some(_) => FileChange::Modified,
            None => FileChange::Created,
        }
    }

    /// Why there is no file at a path.
    fn no_file(&self, path: &str) -> Refusal {
        let below = format!("{path}/");
        match self.files.keys().any(|other| other.starts_with(&below)) {
            true => Refusal::bad("The path is a directory and not a file"),
            false => Refusal::not_found("File"),
        }
    }

    /// That a file can be at a path: nothing on its way is a file, and it is no directory.
    fn has_room_for(&self, path: &str) -> Result<(), Refusal> {
        let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
        if above.any(|directory| self.files.contains_key(directory)) {
            return Err(Refusal::bad("The path leads through a file"));
        }
        match self.no_file(path) {
            refusal if refusal.status() == Some(400) => Err(refusal),
            _ => Ok(()),
        }
    }

    /// That the conditions of a change hold.
    fn holds(&self, call: &Request, path: &str) -> Result<(), Refusal> {
        let tag = self.files.get(path).map(File::tag);
        let names = |header: &str| tag.as_ref().is_some_and(|tag| check::names(header, tag));
        let is_wanted = call.header("if-match").is_none_or(names);
        let is_unwanted = call.header("if-none-match").is_some_and(names);
        if is_wanted && !is_unwanted { Ok(()) } else { Err(check::changed()) }
    }
}

/// What is in a directory, by name.
fn entries(files: &BTreeMap<String, File>, directory: &str) -> Vec<FileEntry> {
    let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let mut entries: BTreeMap<&str, FileEntry> = BTreeMap::new();
    for (path, file) in files {
        let Some(rest) = path.strip_prefix(&prefix) else { continue };
        let (name, entry) = match rest.split_once('/') {
            Some((name, _)) => (name, FileEntry::other(name, FileType::Directory, file.modified_at)),
            None => (rest, FileEntry::file(rest, file.bytes.len() as u64, file.modified_at)),
        };
        entries.insert(name, entry);
    }
    entries.into_values().collect()
}

/// The path of a file, without what the agent sees before it.
fn file(query: FilePath) -> Result<String, Refusal> {
    normal(query.path.as_deref().unwrap_or_default())
}

/// The path of a directory; empty for the root.
fn directory(path: &str) -> Result<String, Refusal> {
    match path {
        "" | "." | "/" | "/workspace" | "/workspace/" => Ok(String::new()),
        path => normal(path.strip_suffix('/').unwrap_or(path)),
    }
}

fn normal(path: &str) -> Result<String, Refusal> {
    let rest = path.strip_prefix("/workspace/").or_else(|| path.strip_prefix("./")).unwrap_or(path);
    let is_bad =
        |part: &str| matches!(part, "" | "." | "..") || part.contains(['\\', '\0']) || part.len() > 255;
    if rest.len() > 1024 || rest.split('/').any(is_bad) {
        return Err(Refusal::invalid(
            "query.path",
            "must be a path inside the workspace, such as `notes/plan.md`",
        ));
    }
    Ok(rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{directory, normal};

    #[test]
    fn paths_stay_inside() {
        for (path, expected) in [("a/b", "a/b"), ("/workspace/a", "a"), ("./a", "a")] {
            assert_eq!(normal(path).as_deref(), Ok(expected));
        }
        for path in ["", "/", "/etc", "a/../b", "..", "a//b", "a/", "a\\b"] {
            assert_eq!(normal(path).unwrap_err().status(), Some(400), "{path}");
        }
        assert_eq!((directory("/").unwrap(), directory("a/").unwrap()), (String::new(), "a".to_owned()));
    }
}
