//! Reading of scripts. The language is documented at [the module above](super).

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    script::{Action, Provision, Script},
    template,
};
use crate::{domain::workspace::WorkspacePath, ports::HarnessError};

/// What an agent does whose prompt has no script.
const DEFAULT_SCRIPT: &str = r#"
say Hello, I am a scripted agent.
tool echo {"text": "{{message}}"} => {"text": "{{message}}"}
say " You said: {{message}}"
usage 12 24
"#;
const MOST_TIMES: u32 = 1_000_000;
const MOST_TOKENS: u64 = 1_000_000_000;
const LONGEST_DELAY: Duration = Duration::from_secs(60 * 60);

/// The script of a system prompt.
pub(super) fn parse_prompt(prompt: &str) -> Result<Script, HarnessError> {
    let lines = script_block(prompt).unwrap_or_else(|| DEFAULT_SCRIPT.lines().collect());
    parse(&lines).map_err(|(line, rule)| HarnessError {
        code: "invalid_script".to_owned(),
        message: format!("line {line} of the script: {rule}"),
    })
}

/// The lines of the first fenced code block whose info string is `script`. Fences are those of CommonMark: a
/// script inside a longer fence is part of that block, and the end of the prompt ends a block.
fn script_block(prompt: &str) -> Option<Vec<&str>> {
    let mut open: Option<Fence<'_>> = None;
    let mut script = None;
    for line in prompt.lines() {
        match (&open, fence(line)) {
            (Some(start), Some(end)) if end.closes(start) => {
                if script.is_some() {
                    return script;
                }
                open = None;
            }
            (Some(_), _) => {
                if let Some(lines) = &mut script {
                    lines.push(line);
                }
            }
            (None, Some(start)) => {
                script = (start.info == "script").then(Vec::new);
                open = Some(start);
            }
            (None, None) => {}
        }
    }
    script
}

/// A line that opens or closes a code block.
struct Fence<'a> {
    mark: char,
    length: usize,
    info: &'a str,
}

impl Fence<'_> {
    fn closes(&self, start: &Fence<'_>) -> bool {
        self.mark == start.mark && self.length >= start.length && self.info.is_empty()
    }
}

fn fence(line: &str) -> Option<Fence<'_>> {
    let text = line.trim_start_matches(' ');
    let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let info = text.trim_start_matches(mark);
    let length = text.len() - info.len();
    let fits = line.len() - text.len() <= 3 && length >= 3 && !(mark == '`' && info.contains('`'));
    fits.then(|| Fence { mark, length, info: info.trim() })
}

/// A script, or the number of the line that is not one and the rule it breaks.
fn parse(lines: &[&str]) -> Result<Script, (usize, String)> {
    let mut script = Script::default();
    for (index, line) in lines.iter().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            parse_line(&mut script, line).map_err(|rule| (index + 1, rule))?;
        }
    }
    Ok(script)
}

fn parse_line(script: &mut Script, line: &str) -> Result<(), String> {
    match word(line) {
        ("provision", rest) => script.provision.push(provision(rest)?),
        ("repeat", rest) => {
            let (times, rest) = word(rest);
            let times = number(times)
                .and_then(|times| u32::try_from(times).ok())
                .filter(|times| (1..=MOST_TIMES).contains(times))
                .ok_or_else(|| format!("`repeat` needs a number from 1 to {MOST_TIMES}"))?;
            let (every, step) = match word(rest) {
                ("every", rest) => {
                    let (every, step) = word(rest);
                    (duration(every)?, step)
                }
                _ => (Duration::ZERO, rest),
            };
            let action = match word(step).0 {
                "" => return Err("`repeat` needs a step".to_owned()),
                name @ ("repeat" | "fail" | "provision") => {
                    return Err(format!("`{name}` cannot be repeated"));
                }
                _ => action(step)?,
            };
            script.push(action, times, every);
        }
        _ => script.push(action(line)?, 1, Duration::ZERO),
    }
    Ok(())
}

fn provision(line: &str) -> Result<Provision, String> {
    match word(line) {
        ("delay", rest) => Ok(Provision::Delay(duration(rest)?)),
        ("fail", rest) => {
            let (code, message) = failure(rest)?;
            Ok(Provision::Fail { code, message })
        }
        _ => Err("`provision` needs `delay DURATION` or `fail CODE TEXT`".to_owned()),
    }
}

fn action(line: &str) -> Result<Action, String> {
    let (name, rest) = word(line);
    Ok(match name {
        "say" => Action::Say(text(rest)?),
        "token" => Action::Token(text(rest)?),
        "tool" => tool(rest)?,
        "ask" => Action::Ask(text(rest)?),
        "write" => {
            let (path, rest) = path(rest)?;
            Action::Write { path, text: text(rest)? }
        }
        "delete" => Action::Delete(only_path(rest)?),
        "read" => Action::Read(only_path(rest)?),
        "remember" => Action::Remember(text(rest)?),
        "forget" => Action::Forget(text(rest)?),
        "usage" => {
            let (input, output) = word(rest);
            let tokens = |text: &str| {
                let rule = || format!("`usage` needs two numbers from 0 to {MOST_TOKENS}");
                number(text).filter(|tokens| *tokens <= MOST_TOKENS).ok_or_else(rule)
            };
            Action::Usage { input: tokens(input)?, output: tokens(output)? }
        }
        "delay" => Action::Delay(duration(rest)?),
        "fail" => {
            let (code, message) = failure(rest)?;
            Action::Fail { code, message }
        }
        other => {
            return Err(format!(
                "unknown step `{}`; the steps are say, token, tool, ask, write, delete, read, remember, forget, \
                 usage, delay, repeat, fail and provision",
                shown(other)
            ));
        }
    })
}

fn tool(line: &str) -> Result<Action, String> {
    const RULE: &str = "`tool` needs `NAME {ARGUMENTS} => RESULT`";
    let (name, rest) = word(line);
    if name.is_empty() {
        return Err(RULE.to_owned());
    }
    let (arguments, rest) = json_at_start::<Map<String, Value>>(rest)
        .map_err(|error| format!("{RULE}; the arguments are not a JSON object: {error}"))?;
    let result = rest.trim_start().strip_prefix("=>").ok_or(RULE)?;
    let result: Value = serde_json::from_str(result)
        .map_err(|error| format!("{RULE}; the result is not JSON: {}", in_line(&error)))?;
    arguments.values().try_for_each(template::check_json)?;
    template::check_json(&result)?;
    Ok(Action::Tool { name: name.to_owned(), arguments, result })
}

fn failure(line: &str) -> Result<(String, String), String> {
    let (code, message) = word(line);
    let is_code = (1..=64).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !is_code {
        return Err("`fail` needs a code of 1 to 64 characters of `a-z 0-9 _`, and a text".to_owned());
    }
    Ok((code.to_owned(), text(message)?))
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
    template::check(&text)?;
    Ok(text)
}

fn only_path(rest: &str) -> Result<WorkspacePath, String> {
    match path(rest)? {
        (path, "") => Ok(path),
        _ => Err("nothing can follow the path; a path with spaces is a JSON string".to_owned()),
    }
}

fn path(rest: &str) -> Result<(WorkspacePath, &str), String> {
    let (path, rest) = if rest.starts_with('"') {
        let (path, rest) = json_at_start::<String>(rest)
            .map_err(|error| format!("a path that starts with a quote must be a JSON string: {error}"))?;
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err("a space must follow the path".to_owned());
        }
        (path, rest.trim_start())
    } else {
        let (path, rest) = word(rest);
        (path.to_owned(), rest)
    };
    if path.contains("{{") {
        return Err("a path can have no templates".to_owned());
    }
    let path = path.parse().map_err(|error| format!("the path {error}"))?;
    Ok((path, rest))
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = if let Some(millis) = text.strip_suffix("ms") {
        number(millis).map(Duration::from_millis)
    } else {
        text.strip_suffix('s').and_then(number).map(Duration::from_secs)
    };
    let rule = || "a duration is a whole number of `ms` or `s`, such as `50ms`, at most one hour".to_owned();
    parsed.filter(|duration| *duration <= LONGEST_DELAY).ok_or_else(rule)
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

/// The first word, empty when there is none, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// The error without its line: it is always 1, and the script's line is told already.
fn in_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().chars().take(200).collect()
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parsed(line: &str) -> Script {
        parse(&[line]).unwrap_or_else(|error| panic!("{line}: {error:?}"))
    }

    fn action_of(line: &str) -> Action {
        parsed(line).steps.remove(0).action
    }

    #[test]
    fn every_step_is_understood() {
        let path = |text: &str| text.parse::<WorkspacePath>().unwrap();
        let failed = Action::Fail { code: "out_of_paper".into(), message: "No more.".into() };
        for (line, expected) in [
            ("say Hello,  world.", Action::Say("Hello,  world.".into())),
            (r#"say " a\n""#, Action::Say(" a\n".into())),
            (r#"token "x""#, Action::Token("x".into())),
            (r#"token """#, Action::Token(String::new())),
            ("ask Really?", Action::Ask("Really?".into())),
            ("write a.md # T", Action::Write { path: path("a.md"), text: "# T".into() }),
            (r#"write "a b" "c\td""#, Action::Write { path: path("a b"), text: "c\td".into() }),
            ("delete notes/a", Action::Delete(path("notes/a"))),
            (r#"read "a b""#, Action::Read(path("a b"))),
            ("remember They like tea", Action::Remember("They like tea".into())),
            ("forget tea", Action::Forget("tea".into())),
            ("usage 12 1000000000", Action::Usage { input: 12, output: 1_000_000_000 }),
            ("delay 50ms", Action::Delay(Duration::from_millis(50))),
            ("delay 3600s", Action::Delay(Duration::from_secs(3600))),
            ("fail out_of_paper No more.", failed),
        ] {
            let script = parsed(line);
            assert_eq!(script.steps[0].action, expected, "{line}");
            assert_eq!((script.steps[0].times, script.steps[0].every), (1, Duration::ZERO));
        }
    }

    #[test]
    fn tools_take_any_spacing_and_arrows_in_strings() {
        let Action::Tool { name, arguments, result } = action_of(r#"tool  a.b  {"x": "=> {}"}=>[1, "=>"]"#)
        else {
            panic!("not a tool");
        };
        assert_eq!(name, "a.b");
        assert_eq!(Value::Object(arguments), json!({"x": "=> {}"}));
        assert_eq!(result, json!([1, "=>"]));
    }

    #[test]
    fn repeat_and_provision_are_understood() {
        let script = parsed(r#"repeat 1000000 every 20ms token "x""#);
        let step = &script.steps[0];
        assert_eq!((step.times, step.every), (1_000_000, Duration::from_millis(20)));
        assert_eq!(step.action, Action::Token("x".into()));
        assert_eq!(parsed("repeat 2 ask Again?").steps[0].times, 2);
        let script =
            parse(&["provision delay 500ms", "say x", "provision fail no_luck Bad {{model}}."]).unwrap();
        let failed = Provision::Fail { code: "no_luck".into(), message: "Bad {{model}}.".into() };
        assert_eq!(script.provision, [Provision::Delay(Duration::from_millis(500)), failed]);
        assert_eq!(script.steps.len(), 1);
    }

    #[test]
    fn counters_are_summed_over_the_lines_before() {
        let script = parse(&["repeat 3 tool a {} => 1", "repeat 2 usage 5 7", "tool b {} => 2", "usage 1 1"]);
        let steps = script.unwrap().steps;
        assert_eq!((steps[0].calls_after(1), steps[2].calls_after(1)), (1, 4));
        let used = |step: usize, times| {
            let usage = steps[step].used_after(times);
            (usage.input_tokens, usage.output_tokens)
        };
        assert_eq!((used(1, 1), used(1, 2), used(3, 1)), ((5, 7), (10, 14), (11, 15)));
    }

    #[test]
    fn errors_name_the_line_and_the_rule() {
        for (line, rule) in [
            ("sing la", "unknown step `sing`"),
            ("say", "a text is missing"),
            (r#"say "a" b"#, "must be a JSON string"),
            ("say {{mesage}}", "unknown template `{{mesage}}`"),
            (r#"token "\x""#, "must be a JSON string"),
            ("tool", "`tool` needs"),
            ("tool a", "not a JSON object"),
            ("tool a [] => 1", "not a JSON object"),
            ("tool a {} 1", "`tool` needs"),
            ("tool a {} =>", "the result is not JSON"),
            ("tool a {} => 1 2", "the result is not JSON"),
            (r#"tool a {"x": ["{{y}}"]} => 1"#, "unknown template `{{y}}`"),
            (r#"tool a {} => "{{y}}""#, "unknown template `{{y}}`"),
            ("write", "the path must be"),
            ("write a", "a text is missing"),
            ("write ../a b", "the path must be"),
            (r#"write "a"b c"#, "a space must follow"),
            ("write {{message}} b", "no templates"),
            ("delete a b", "nothing can follow the path"),
            ("read", "the path must be"),
            ("remember", "a text is missing"),
            ("forget {{x}}", "unknown template"),
            ("usage 1", "two numbers"),
            ("usage 1 2 3", "two numbers"),
            ("usage 1 1000000001", "two numbers"),
            ("usage +1 1", "two numbers"),
            ("delay 1", "a duration is"),
            ("delay 1 s", "a duration is"),
            ("delay -1s", "a duration is"),
            ("delay 3601s", "a duration is"),
            ("delay 99999999999999999999s", "a duration is"),
            ("repeat", "a number from 1 to 1000000"),
            ("repeat 0 say x", "a number from 1 to 1000000"),
            ("repeat 1000001 say x", "a number from 1 to 1000000"),
            ("repeat 2", "`repeat` needs a step"),
            ("repeat 2 every 1s", "`repeat` needs a step"),
            ("repeat 2 every say x", "a duration is"),
            ("repeat 2 repeat 2 say x", "`repeat` cannot be repeated"),
            ("repeat 2 fail a b", "`fail` cannot be repeated"),
            ("repeat 2 provision delay 1s", "`provision` cannot be repeated"),
            ("fail", "needs a code"),
            ("fail Bad x", "needs a code"),
            ("fail bad", "a text is missing"),
            ("provision", "`provision` needs"),
            ("provision say x", "`provision` needs"),
            ("provision fail bad", "a text is missing"),
            ("provision delay x", "a duration is"),
        ] {
            let (number, error) = parse(&["# comment", "", "say x", line]).expect_err(line);
            assert_eq!(number, 4, "{line}");
            assert!(error.contains(rule), "{line}: {error}");
        }
        let error = parse_prompt("Text\n```script\nsay a\nsing b\n```\n").unwrap_err();
        assert_eq!(error.code, "invalid_script");
        assert!(error.message.starts_with("line 2 of the script: unknown step `sing`"), "{error}");
    }

    #[test]
    fn the_script_is_the_first_block_with_that_info_string() {
        for (prompt, expected) in [
            ("a\n```script\nsay x\n```\nb\n```script\nsay y\n```", vec!["say x"]),
            ("```text\nsay x\n```\n```script\nsay y\n```", vec!["say y"]),
            ("````md\n```script\nsay x\n```\n````\n~~~ script\r\nsay y\r\n~~~\r\n", vec!["say y"]),
            ("```script\nsay x\n~~~\n``\n```text\n`````  \nsay y", vec!["say x", "~~~", "``", "```text"]),
            ("   ```script\nsay x", vec!["say x"]),
            ("```script\n```", vec![]),
        ] {
            assert_eq!(script_block(prompt), Some(expected), "{prompt}");
        }
        for prompt in
            ["", "say x", "```\nsay x\n```", "    ```script\nsay x", "```scripts\nx\n```", "``script"]
        {
            assert_eq!(script_block(prompt), None, "{prompt}");
        }
    }

    #[test]
    fn without_a_block_there_is_a_script_of_ours_and_an_empty_block_does_nothing() {
        assert_eq!(parse_prompt("You are a test.").unwrap().steps.len(), 4);
        assert_eq!(parse_prompt("```script\n\n# nothing\n```").unwrap(), Script::default());
    }

    proptest! {
        #[test]
        fn no_text_panics(prompt in "(?s).{0,200}") {
            let _ = parse_prompt(&prompt);
            let _ = parse(&prompt.lines().collect::<Vec<_>>());
        }

        #[test]
        fn no_arrangement_of_words_panics(words in prop::collection::vec(prop::sample::select(vec![
            "say", "token", "tool", "ask", "write", "delete", "read", "remember", "forget", "usage", "delay", "repeat", "every",
            "fail", "provision", "\"a b\"", "\"", "{", "{}", "=>", "1", "20ms", "x", "{{message}}", "{{x}}", "é",
            "\n", "#", "\u{a0}", "18446744073709551615", "..", "```script", "```",
        ]), 0..12)) {
            let prompt = words.join(" ");
            let _ = parse(&prompt.lines().collect::<Vec<_>>());
            let _ = parse_prompt(&words.join("\n"));
        }

        #[test]
        fn any_text_survives_as_a_json_string(text in "[^{]*") {
            let line = format!("token {}", serde_json::to_string(&text).unwrap());
            prop_assert_eq!(action_of(&line), Action::Token(text));
        }
    }
}
