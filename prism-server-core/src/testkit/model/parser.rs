//! Reading of scripts. The language is documented at [the module above](super).

use std::{str::FromStr, time::Duration};

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    conversation::TEMPLATES,
    script::{Action, Answer, Condition, Rule, Script, Step},
};

const MOST_TIMES: usize = 100_000;
const MOST_TOKENS: u64 = 1_000_000_000;
const LONGEST_DELAY: Duration = Duration::from_secs(60 * 60);

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the script: {rule}")]
#[non_exhaustive]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// The rule that it breaks.
    pub rule: String,
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut reader = Reader::default();
        let mut last = 1;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            last = index + 1;
            reader.read(line).map_err(|rule| ScriptError { line: last, rule })?;
        }
        reader.finish().map_err(|rule| ScriptError { line: last, rule })
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    rules: Vec<Rule>,
    otherwise: Option<Vec<Answer>>,
    /// The rule that is being read; its last answer takes the next step.
    open: Option<Open>,
}

struct Open {
    /// `None` for `otherwise`.
    conditions: Option<Vec<Condition>>,
    answers: Vec<Answer>,
}

impl Reader {
    fn read(&mut self, line: &str) -> Result<(), String> {
        match word(line) {
            ("when", rest) => {
                self.close()?;
                self.open(Some(conditions(rest)?));
            }
            ("otherwise", "") => {
                self.close()?;
                if self.otherwise.is_some() {
                    return Err("a script has one `otherwise`".to_owned());
                }
                self.open(None);
            }
            ("then", "") => self.next_answer()?,
            (name @ ("otherwise" | "then"), _) => {
                return Err(format!("nothing can follow `{name}` on its line"));
            }
            _ => {
                let step = step(line)?;
                if self.open.is_none() {
                    self.open(None);
                }
                self.push(step)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, conditions: Option<Vec<Condition>>) {
        self.open = Some(Open { conditions, answers: vec![Answer::new()] });
    }

    fn next_answer(&mut self) -> Result<(), String> {
        let open = self.open.as_mut().ok_or("`then` needs steps above it")?;
        if open.answers.last().is_none_or(Answer::is_empty) {
            return Err("`then` needs steps above it".to_owned());
        }
        if open.conditions.iter().flatten().any(Condition::is_about_one_call) {
            return Err("a rule with `tool result`, `step`, `call` or `once` has one answer, without `then`"
                .to_owned());
        }
        open.answers.push(Answer::new());
        Ok(())
    }

    fn push(&mut self, step: Step) -> Result<(), String> {
        let answer = self.open.as_mut().and_then(|open| open.answers.last_mut());
        let answer = answer.ok_or("a step needs a rule above it")?;
        match answer.last().map(|last| &last.action) {
            Some(Action::HangUp | Action::Error { .. }) => {
                return Err("nothing can follow `hang up` or `error`".to_owned());
            }
            _ if matches!(step.action, Action::Error { .. })
                && !answer.iter().all(Step::comes_before_status) =>
            {
                return Err("only `delay` and `wait` can come before `error`".to_owned());
            }
            _ => answer.push(step),
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(Open { conditions, answers }) = self.open.take() else { return Ok(()) };
        if answers.last().is_none_or(Answer::is_empty) {
            return Err("a rule and a `then` need steps below them".to_owned());
        }
        match conditions {
            Some(conditions) => self.rules.push(Rule { conditions, answers }),
            None => self.otherwise = Some(answers),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Script, String> {
        self.close()?;
        let otherwise = self.otherwise.unwrap_or_default();
        if self.rules.is_empty() && otherwise.is_empty() {
            return Err("there is no step".to_owned());
        }
        Ok(Script { rules: self.rules, otherwise })
    }
}

impl Step {
    /// Whether this can come before the status of the answer.
    pub(super) fn comes_before_status(&self) -> bool {
        matches!(self.action, Action::Delay(_) | Action::Wait(_))
    }
}

fn conditions(mut rest: &str) -> Result<Vec<Condition>, String> {
    const RULE: &str = "`when` needs `user contains \"TEXT\"`, `tool result contains \"TEXT\"`, `system contains \
                        \"TEXT\"`, `offers NAME`, `step N`, `call N` or `once`, joined by `and`";
    let mut conditions = Vec::new();
    loop {
        let (condition, after) = match word(rest) {
            ("user", after) => contained(after, Condition::User)?,
            ("system", after) => contained(after, Condition::System)?,
            ("tool", after) => match word(after) {
                ("result", after) => contained(after, Condition::Result)?,
                _ => return Err(RULE.to_owned()),
            },
            ("offers", after) => match word(after) {
                ("", _) => return Err("`offers` needs the name of a tool".to_owned()),
                (name, after) => (Condition::Offers(name.to_owned()), after),
            },
            ("step", after) => counted(after, Condition::Step)?,
            ("call", after) => counted(after, Condition::Call)?,
            ("once", after) => (Condition::Once, after),
            _ => return Err(RULE.to_owned()),
        };
        conditions.push(condition);
        match word(after) {
            ("", _) => return Ok(conditions),
            ("and", after) => rest = after,
            _ => return Err(RULE.to_owned()),
        }
    }
}

fn contained(rest: &str, condition: fn(String) -> Condition) -> Result<(Condition, &str), String> {
    const RULE: &str = "`contains` needs a JSON string, such as `contains \"weather\"`";
    let ("contains", rest) = word(rest) else { return Err(RULE.to_owned()) };
    let (text, rest) = json_at_start::<String>(rest).map_err(|error| format!("{RULE}: {error}"))?;
    Ok((condition(text), rest.trim_start()))
}

fn counted(rest: &str, condition: fn(usize) -> Condition) -> Result<(Condition, &str), String> {
    let (count, rest) = word(rest);
    let count = number(count).and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    Ok((condition(count.ok_or("`step` and `call` need a number from 1")?), rest))
}

fn step(line: &str) -> Result<Step, String> {
    let ("repeat", rest) = word(line) else {
        return Ok(Step { action: action(line)?, times: 1, every: Duration::ZERO });
    };
    let (times, rest) = word(rest);
    let times = number(times)
        .and_then(|times| usize::try_from(times).ok())
        .filter(|times| (1..=MOST_TIMES).contains(times))
        .ok_or_else(|| format!("`repeat` needs a number from 1 to {MOST_TIMES}"))?;
    let (every, rest) = match word(rest) {
        ("every", rest) => {
            let (every, rest) = word(rest);
            (duration(every)?, rest)
        }
        _ => (Duration::ZERO, rest),
    };
    let action = action(rest)?;
    if !matches!(action, Action::Say(_) | Action::Token(_) | Action::Tool { .. }) {
        return Err("only `say`, `token` and `tool` can be repeated".to_owned());
    }
    Ok(Step { action, times, every })
}

fn action(line: &str) -> Result<Action, String> {
    Ok(match word(line) {
        ("say", rest) => Action::Say(text(rest)?),
        ("token", rest) => Action::Token(text(rest)?),
        ("tool", rest) => tool(rest)?,
        ("delay", rest) => Action::Delay(duration(rest)?),
        ("wait", name) if !name.is_empty() && word(name).1.is_empty() => Action::Wait(name.to_owned()),
        ("wait", _) => return Err("`wait` needs one word".to_owned()),
        ("usage", rest) => {
            let (input, output) = word(rest);
            let tokens = |text: &str| {
                let rule = || format!("`usage` needs two numbers from 0 to {MOST_TOKENS}");
                number(text).filter(|tokens| *tokens <= MOST_TOKENS).ok_or_else(rule)
            };
            Action::Usage { input: tokens(input)?, output: tokens(output)? }
        }
        ("error", rest) => {
            let (status, message) = word(rest);
            let status = number(status).and_then(|status| u16::try_from(status).ok());
            let status = status.filter(|status| (400..=599).contains(status));
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            Action::Error {
                status: status.ok_or("`error` needs a status from 400 to 599, and a text")?,
                message: text(message)?,
            }
        }
        ("hang", "up") => Action::HangUp,
        (other, _) => {
            return Err(format!(
                "unknown step `{}`; the steps are say, token, tool, delay, wait, usage, repeat, error and hang up",
                other.chars().take(40).collect::<String>()
            ));
        }
    })
}

fn tool(rest: &str) -> Result<Action, String> {
    const RULE: &str = "`tool` needs `NAME {ARGUMENTS}`";
    let (name, arguments) = word(rest);
    if name.is_empty() {
        return Err(RULE.to_owned());
    }
    let arguments: Map<String, Value> = serde_json::from_str(arguments)
        .map_err(|error| format!("{RULE}; the arguments are not a JSON object: {}", in_line(&error)))?;
    arguments.values().try_for_each(check_json)?;
    Ok(Action::Tool { name: name.to_owned(), arguments })
}

fn text(rest: &str) -> Result<String, String> {
    let text = if rest.is_empty() {
        return Err("a text is missing; the empty text is `\"\"`".to_owned());
    } else if rest.starts_with('"') {
        serde_json::from_str(rest).map_err(|error| {
            format!("a text that starts with a quote must be a JSON string: {}", in_line(&error))
        })?
    } else {
        rest.to_owned()
    };
    check(&text)?;
    Ok(text)
}

/// Refuses templates that mean nothing; other braces are text.
fn check(text: &str) -> Result<(), String> {
    for (_, after) in text.match_indices("{{").map(|(start, _)| text.split_at(start + 2)) {
        let end = after.bytes().take_while(u8::is_ascii_lowercase).count();
        let (name, after) = after.split_at(end);
        if !name.is_empty() && after.starts_with("}}") && !TEMPLATES.contains(&name) {
            let name: String = name.chars().take(40).collect();
            return Err(format!(
                "unknown template `{{{{{name}}}}}`; the templates are {}",
                TEMPLATES.join(", ")
            ));
        }
    }
    Ok(())
}

fn check_json(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().try_for_each(check_json),
        Value::Object(fields) => fields.values().try_for_each(check_json),
        _ => Ok(()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.strip_suffix("ms") {
        Some(millis) => number(millis).map(Duration::from_millis),
        None => text.strip_suffix('s').and_then(number).map(Duration::from_secs),
    };
    let rule = "a duration is a whole number of `ms` or `s`, such as `50ms`, at most one hour";
    parsed.filter(|duration| *duration <= LONGEST_DELAY).ok_or_else(|| rule.to_owned())
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

/// The JSON value that the text starts with, and what follows it.
fn json_at_start<T: DeserializeOwned>(text: &str) -> Result<(T, &str), String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    match values.next() {
        Some(Ok(value)) => Ok((value, text.get(values.byte_offset()..).unwrap_or_default())),
        Some(Err(error)) => Err(in_line(&error)),
        None => Err("nothing is there".to_owned()),
    }
}

/// The error without its line: it is always 1, and the script's line is told already.
fn in_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().chars().take(200).collect()
}

/// The first word, empty when there is none, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parsed(text: &str) -> Script {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn once(action: Action) -> Step {
        Step { action, times: 1, every: Duration::ZERO }
    }

    #[test]
    fn rules_have_answers_by_step() {
        let script = parsed(
            "# a comment\nwhen user contains \"a \\\"b\\\" and\" and offers terminal\n  tool terminal {\"x\": \
             [1]}\n  then\n  say Done.\n\nwhen tool result contains \"c\" and step 2 and call 3 and once and system \
             contains \"s\"\n  hang up\notherwise\n  repeat 3 every 5ms token \"x\\n\"\n  usage 1 2",
        );
        let arguments = json!({"x": [1]}).as_object().unwrap().clone();
        let first = Rule {
            conditions: vec![Condition::User("a \"b\" and".into()), Condition::Offers("terminal".into())],
            answers: vec![
                vec![once(Action::Tool { name: "terminal".into(), arguments })],
                vec![once(Action::Say("Done.".into()))],
            ],
        };
        let second = Rule {
            conditions: vec![
                Condition::Result("c".into()),
                Condition::Step(2),
                Condition::Call(3),
                Condition::Once,
                Condition::System("s".into()),
            ],
            answers: vec![vec![once(Action::HangUp)]],
        };
        let repeated = Action::Token("x\n".into());
        let otherwise = vec![
            Step { action: repeated, times: 3, every: Duration::from_millis(5) },
            once(Action::Usage { input: 1, output: 2 }),
        ];
        assert_eq!(script, Script { rules: vec![first, second], otherwise: vec![otherwise] });
    }

    #[test]
    fn a_script_without_rules_is_for_every_call() {
        let script = parsed("wait go\ndelay 1s\nerror 429 Slow {down}.");
        let error = Action::Error { status: StatusCode::TOO_MANY_REQUESTS, message: "Slow {down}.".into() };
        let answer = vec![Action::Wait("go".into()), Action::Delay(Duration::from_secs(1)), error];
        let answer = answer.into_iter().map(once).collect();
        assert_eq!(script, Script { rules: vec![], otherwise: vec![answer] });
    }

    #[test]
    fn errors_name_the_line_and_the_rule() {
        for (text, line, rule) in [
            ("", 1, "there is no step"),
            ("\n\nsya Hi", 3, "unknown step `sya`; the steps are say, token"),
            ("say", 1, "a text is missing"),
            ("say \"x", 1, "must be a JSON string"),
            (
                "say {{mesage}}",
                1,
                "unknown template `{{mesage}}`; the templates are message, result, step, model",
            ),
            ("tool x", 1, "`tool` needs `NAME {ARGUMENTS}`; the arguments are not a JSON object"),
            ("tool x {} y", 1, "not a JSON object"),
            ("tool x {\"a\": [\"{{b}}\"]}", 1, "unknown template `{{b}}`"),
            ("when", 1, "`when` needs `user contains"),
            ("when user contains x", 1, "needs a JSON string"),
            ("when step 0", 1, "need a number from 1"),
            ("when once or step 1", 1, "joined by `and`"),
            ("when once\nwhen once\nsay x", 2, "need steps below"),
            ("when once\nsay x\nthen\nsay y", 3, "has one answer"),
            ("otherwise\nsay x\nthen", 3, "need steps below"),
            ("then", 1, "needs steps above"),
            ("then say x", 1, "nothing can follow `then`"),
            ("otherwise\nsay x\notherwise\nsay y", 3, "one `otherwise`"),
            ("say x\nerror 500 y", 2, "can come before `error`"),
            ("hang up\nsay x", 2, "nothing can follow `hang up`"),
            ("error 200 OK", 1, "a status from 400 to 599"),
            ("repeat 100001 say x", 1, "a number from 1 to 100000"),
            ("repeat 2 hang up", 1, "can be repeated"),
            ("usage 1", 1, "two numbers"),
            ("delay 3601s", 1, "at most one hour"),
            ("wait a b", 1, "one word"),
        ] {
            let error = text.parse::<Script>().unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.rule.contains(rule), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}") {
            let _ = text.parse::<Script>();
        }

        #[test]
        fn no_arrangement_of_words_panics(words in prop::collection::vec(prop::sample::select(vec![
            "when", "then", "otherwise", "user", "tool", "result", "contains", "\"a b\"", "\"", "offers", "step",
            "call", "once", "and", "say", "token", "{}", "{", "delay", "1s", "wait", "usage", "1", "repeat",
            "every", "error", "500", "hang", "up", "{{message}}", "{{x}}", "é", "\n", "#", "\u{a0}",
        ]), 0..16)) {
            let _ = words.join(" ").parse::<Script>();
        }

        #[test]
        fn any_text_survives_as_a_json_string(text in "[^{]*") {
            let script = parsed(&format!("token {}", serde_json::to_string(&text).unwrap()));
            prop_assert_eq!(&script.otherwise[0][0].action, &Action::Token(text));
        }
    }
}
