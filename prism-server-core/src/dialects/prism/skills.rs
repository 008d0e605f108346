//! `/v1/deployments/{deployment_id}/skills`

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use prism_types::{DeletedSkill, SkillDetails, SkillId, SkillList, SkillSource};
use serde_json::Value;

use super::{Call, Shared, bodies, deployment_id, encode, error::Answer, path_id};
use crate::{
    domain::{idempotency::Reply, skill::SkillRecord},
    error::Result,
    http::{change::Change, decode::decode},
    service::{
        deployments,
        skills::{self, SkillDraft, SkillOrigin},
    },
};

pub(super) async fn list(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Json<SkillList>, Answer> {
    let found = skills::list(&core, &call.principal, &deployment_id(&id)?).await?;
    Ok(Json(SkillList::new(found.into_iter().map(encode::skill).collect())))
}

pub(super) async fn add(
    State(core): Shared,
    Path(id): Path<String>,
    mut change: Change,
) -> Result<Reply, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let draft = decode_new(&change.json().await?)?;
    let added = change.carry_out(&core, |core, author| async move {
        let tell = |skill| Reply::json(StatusCode::CREATED, &encode::skill(skill));
        skills::add(&core, &author, &id, draft, tell).await
    });
    Ok(added.await?)
}

pub(super) async fn get(
    State(core): Shared,
    Path((id, skill)): Path<(String, String)>,
    call: Call,
) -> Result<Json<SkillDetails>, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, &call.principal, &id).await?;
    let skill = path_id(&skill, "Skill")?;
    Ok(Json(details(skills::get(&core, &call.principal, &id, &skill).await?)))
}

pub(super) async fn update(
    State(core): Shared,
    Path((id, skill)): Path<(String, String)>,
    mut change: Change,
) -> Result<Json<SkillDetails>, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let skill = path_id(&skill, "Skill")?;
    skills::get(&core, change.principal(), &id, &skill).await?;
    let origin = decode_change(&change.json().await?)?;
    let updated = change.carry_out(&core, |core, author| async move {
        skills::update(&core, &author, &id, &skill, origin).await
    });
    Ok(Json(details(updated.await?)))
}

pub(super) async fn remove(
    State(core): Shared,
    Path((id, skill)): Path<(String, String)>,
    change: Change,
) -> Result<Json<DeletedSkill>, Answer> {
    let id = deployment_id(&id)?;
    deployments::get(&core, change.principal(), &id).await?;
    let skill: SkillId = path_id(&skill, "Skill")?;
    let removed = skill.clone();
    let work = change
        .carry_out(&core, |core, author| async move { skills::remove(&core, &author, &id, &skill).await });
    work.await?;
    Ok(Json(DeletedSkill::new(removed)))
}

fn decode_new(body: &Value) -> Result<SkillDraft> {
    decode(body, bodies::skill)
}

/// Where the skill comes from now; `None`: it is to be read again.
fn decode_change(body: &Value) -> Result<Option<SkillOrigin>> {
    decode(body, |node| {
        let object = node.object(&["name", "source", "path", "content", "url"])?;
        object.change::<()>("name", |node| node.refuse("cannot be changed; add another skill"));
        if ["source", "path", "content", "url"].iter().all(|field| object.is_absent(field)) {
            return Some(None);
        }
        bodies::skill_origin(&object).map(Some)
    })
}

fn details(record: SkillRecord) -> SkillDetails {
    let (content, location) = (record.content.clone(), record.location.clone());
    let details = SkillDetails::new(encode::skill(record), content);
    if details.info.source == SkillSource::Inline { details } else { details.location(location) }
}

#[cfg(test)]
mod tests {
    use prism_types::UpdateSkill;
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_the_client_type_can_say_is_understood_the_same() {
        let decode = |update| decode_change(&serde_json::to_value(update).unwrap()).unwrap();
        assert!(
            matches!(decode(UpdateSkill::inline("x")), Some(SkillOrigin::Inline(content)) if content == "x")
        );
        assert!(
            matches!(decode(UpdateSkill::url("https://x/")), Some(SkillOrigin::Url(url)) if url == "https://x/")
        );
        assert!(
            matches!(decode(UpdateSkill::file("a/b")), Some(SkillOrigin::File(path)) if path.as_str() == "a/b")
        );
        assert!(decode(UpdateSkill::again()).is_none());
    }

    #[test]
    fn a_field_without_its_source_or_with_another_one_is_refused() {
        for (body, path) in [
            (json!({"content": "x"}), "$.source"),
            (json!({"source": "url"}), "$.url"),
            (json!({"source": "url", "url": "https://x/", "content": "x"}), "$.content"),
            (json!({"name": "b"}), "$.name"),
            (json!({"source": "git"}), "$.source"),
        ] {
            let error = decode_change(&body).unwrap_err();
            assert_eq!(error.problems()[0].path, path, "{body}");
        }
    }
}
