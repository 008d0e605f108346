//! Memories.

use prism_types::{
    CreateMemory, DeletedMemory, DeploymentId, Memory, MemoryId, MemorySource, Page, UpdateMemory,
};

use super::state::{Agent, State};
use crate::mock::{Answer, Refusal, Request, query::ListMemories};

impl State {
    pub(super) fn list_memories(
        &mut self,
        _: &Request,
        id: DeploymentId,
        query: ListMemories,
    ) -> Answer<Page<Memory>> {
        let words = query.q.unwrap_or_default().to_lowercase();
        let matches = |memory: &Memory| {
            let content = memory.content.to_lowercase();
            words.split_whitespace().all(|word| content.contains(word))
        };
        let memories = &self.agents.get(&id)?.memories;
        Ok(memories.page(query.limit, query.cursor.as_ref(), matches, Memory::clone)?.into())
    }

    pub(super) fn create_memory(
        &mut self,
        _: &Request,
        id: DeploymentId,
        request: CreateMemory,
    ) -> Answer<Memory> {
        let agent = self.agents.get_mut(&id)?;
        let content = agent.new_content(&request.content, None)?;
        let (memory, now): (MemoryId, _) = (self.fresh.id(MemoryId::PREFIX), self.fresh.now());
        Ok(agent.memories.add(Memory::new(memory, content, MemorySource::Api, now)).clone().into())
    }

    pub(super) fn get_memory(&mut self, _: &Request, id: DeploymentId, memory: MemoryId) -> Answer<Memory> {
        Ok(self.agents.get(&id)?.memories.get(&memory)?.clone().into())
    }

    pub(super) fn update_memory(
        &mut self,
        _: &Request,
        id: DeploymentId,
        memory: MemoryId,
        request: UpdateMemory,
    ) -> Answer<Memory> {
        let agent = self.agents.get_mut(&id)?;
        agent.memories.get(&memory)?;
        let content = agent.new_content(&request.content, Some(&memory))?;
        let changed = agent.memories.get_mut(&memory)?;
        changed.content = content;
        changed.updated_at = self.fresh.now();
        Ok(changed.clone().into())
    }

    pub(super) fn delete_memory(
        &mut self,
        _: &Request,
        id: DeploymentId,
        memory: MemoryId,
    ) -> Answer<DeletedMemory> {
        self.agents.get_mut(&id)?.memories.remove(&memory)?;
        Ok(DeletedMemory::new(memory).into())
    }
}

impl Agent {
    /// What a memory may say: something that no other one does.
    fn new_content(&self, content: &str, memory: Option<&MemoryId>) -> Result<String, Refusal> {
        let content = content.trim();
        if content.is_empty() || content.chars().count() > 2000 {
            return Err(Refusal::invalid("$.content", "must have 1 to 2,000 characters"));
        }
        let mut others = self.memories.iter().filter(|other| Some(&other.memory_id) != memory);
        match others.find(|other| other.content == content) {
            Some(other) => Err(Refusal::conflict(format!("{} has this content already", other.memory_id))),
            None => Ok(content.to_owned()),
        }
    }
}
