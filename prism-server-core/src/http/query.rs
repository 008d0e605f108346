//! Query strings, checked whole: every problem is told at once.

use std::{collections::BTreeMap, str::FromStr};

use prism_types::Problem;

use super::{cursor, decode::nearest};
use crate::{
    domain::limits,
    error::{Error, Result},
    ports::ListQuery,
};

/// The parameters of a request.
pub(crate) struct Query {
    values: BTreeMap<String, String>,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl Query {
    /// Reads `a=1&b=2`.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let mut parsed = Self { values: BTreeMap::new(), known: Vec::new(), problems: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if parsed.values.insert(name.to_string(), value.to_string()).is_some() {
                parsed.problem(&name, "is given more than once".to_owned());
            }
        }
        parsed
    }

    /// A parameter as it is.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.values.get(name).cloned()
    }

    /// A parameter that `read` turns into a value or a broken rule.
    pub(crate) fn read<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        match read(&text) {
            Ok(value) => Some(value),
            Err(rule) => {
                self.problem(name, rule);
                None
            }
        }
    }

    /// As [`Query::read`], of a parameter that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.values.contains_key(name) {
            self.problem(name, "is required".to_owned());
        }
        self.read(name, read)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, |text| text.parse().map_err(|_| "must be `true` or `false`".to_owned()))
    }

    /// `limit` and `cursor`.
    pub(crate) fn page<Id: FromStr>(&mut self) -> ListQuery<Id> {
        self.page_of((limits::PAGE, limits::PAGE_DEFAULT))
    }

    /// As [`Query::page`], of a list with other limits: the most that can be asked for, and what is when nothing is.
    pub(crate) fn page_of<Id: FromStr>(&mut self, (most, default): (u32, u32)) -> ListQuery<Id> {
        let limit = self.read("limit", |text| {
            let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
            limit.ok_or_else(|| format!("must be a whole number from 1 to {most}"))
        });
        let before = self.read("cursor", |text| {
            cursor::decode(text).ok_or_else(|| "must be the `next_cursor` of a page of this list".to_owned())
        });
        ListQuery { before, limit: limit.unwrap_or(default) }
    }

    /// One of these words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        self.read(name, |text| {
            all.iter().copied().find(|value| word(*value) == text).ok_or_else(|| {
                let words: Vec<_> = all.iter().map(|value| format!("`{}`", word(*value))).collect();
                format!("must be {}", words.join(" or "))
            })
        })
    }

    /// Refuses a parameter for what others are.
    pub(crate) fn refuse(&mut self, name: &str, rule: &str) {
        self.problem(name, rule.to_owned());
    }

    /// Refuses what was not asked for, and whatever had a problem.
    pub(crate) fn finish(mut self) -> Result<()> {
        let unknown: Vec<_> =
            self.values.keys().filter(|name| !self.known.contains(&name.as_str())).cloned().collect();
        for name in unknown {
            let advice = nearest(&name, &self.known);
            self.problem(&name, format!("is not a parameter of this endpoint{advice}"));
        }
        if self.problems.is_empty() { Ok(()) } else { Err(Error::invalid(self.problems)) }
    }

    /// As [`Query::finish`]; the value of a parameter that had no problem.
    pub(crate) fn finish_with<T>(self, value: Option<T>) -> Result<T> {
        self.finish()?;
        value.ok_or_else(|| Error::internal("a parameter without a value has no problem"))
    }

    fn problem(&mut self, name: &str, message: String) {
        let name: String = name.chars().take(64).collect();
        self.problems.push(Problem::new(format!("query.{name}"), message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_types::DeploymentId;

    #[test]
    fn limits_hold_at_the_limit_and_one_past_it() {
        for (text, fits) in
            [("1", true), ("100", true), ("0", false), ("101", false), ("x", false), ("-1", false)]
        {
            let mut query = Query::parse(Some(&format!("limit={text}")));
            query.page::<DeploymentId>();
            assert_eq!(query.finish().is_ok(), fits, "{text}");
        }
        assert_eq!(Query::parse(None).page::<DeploymentId>().limit, 20);
    }

    #[test]
    fn every_problem_is_told() {
        let mut query = Query::parse(Some("limit=0&cursor=x&limt=3&cursor=y"));
        query.page::<DeploymentId>();
        let error = query.finish().unwrap_err();
        let paths: Vec<_> = error.problems().iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["query.cursor", "query.limit", "query.cursor", "query.limt"]);
        assert!(error.message().contains("did you mean `limit`"), "{}", error.message());
    }
}
