//! The small language in which a case says what an attacker concludes from what came back.
//!
//! | text | means |
//! |---|---|
//! | `q.total` | column `total` of the first row that step `q` gave |
//! | `q['Bonn'].total` | of the row whose first column is `Bonn` |
//! | `1.5`, `'text'`, `true`, `false` | themselves |
//! | `+ - * / % ^`, `= <> < <= > >=`, `and or not`, `( )` | as usual; `^` is a power |
//! | `status(q)`, `rows(q)`, `held(q)`, `body(q)`, `bytes(q)` | status, rows, groups held back, text, its length |
//! | `header(q, 'name')`, `json(q, '/a/b')` | a header, a member of the body |
//! | `sum(q, 'total')` | of a column over all rows |
//! | `has(q, 'Bonn')` | whether the first column of some row is that |
//! | `contains(text, 'part')`, `default(x, y)`, `given(x)` | is part of it; `y` where `x` is nothing; whether it is something |
//! | `round(x)`, `abs(x)`, `log(x, base)` | as usual |
//!
//! `{t}` is the name of the dataset. What is not there is nothing, and whatever is computed from nothing is nothing.

use anyhow::{Context, Result, bail, ensure};
use domicile_harness::answer::text;
use serde_json::Value as Json;

use crate::transcript::Transcript;

/// A value, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// What is not there.
    Nothing,
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A truth value.
    Truth(bool),
}

use Value::{Nothing, Number, Text, Truth};

/// What `expression` says of what came back.
///
/// # Errors
/// Where it is not written as it should be, or names a step that there is not.
pub fn infer(expression: &str, transcript: &Transcript) -> Result<Value> {
    let expression = expression.replace("{t}", &transcript.dataset);
    let expression = expression.as_str();
    let tokens = tokens(expression)?;
    let mut parser = Parser { tokens: &tokens, at: 0, transcript };
    let value = parser.any().with_context(|| format!("`{expression}`"))?;
    ensure!(parser.at == tokens.len(), "`{expression}` goes on after its end");
    Ok(value)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Number(f64),
    Text(String),
    Sign(String),
}

fn tokens(expression: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = |accept: fn(char) -> bool| rest.find(|c| !accept(c)).unwrap_or(rest.len());
        let used = match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = length(|c| c.is_ascii_alphanumeric() || c == '_');
                tokens.push(Token::Name(rest[..end].to_owned()));
                end
            }
            '0'..='9' => {
                let end = length(|c| c.is_ascii_digit() || c == '.');
                tokens.push(Token::Number(rest[..end].parse()?));
                end
            }
            '\'' => {
                let end = rest[1..].find('\'').context("a text that does not end")?;
                tokens.push(Token::Text(rest[1..=end].to_owned()));
                end + 2
            }
            _ => {
                let end =
                    if ["<=", ">=", "<>"].iter().any(|sign| rest.starts_with(sign)) { 2 } else { first.len_utf8() };
                tokens.push(Token::Sign(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

/// Binary operators, from those that bind least.
const LEVELS: [&[&str]; 5] = [&["or"], &["and"], &["=", "<>", "<", "<=", ">", ">="], &["+", "-"], &["*", "/", "%"]];

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    transcript: &'a Transcript,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Value> {
        self.level(0)
    }

    fn level(&mut self, level: usize) -> Result<Value> {
        let Some(operators) = LEVELS.get(level) else { return self.power() };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let right = self.level(level + 1)?;
            left = binary(&operator, left, right)?;
        }
        Ok(left)
    }

    fn operator(&mut self, operators: &[&str]) -> Option<String> {
        let (Token::Sign(word) | Token::Name(word)) = self.tokens.get(self.at)? else { return None };
        operators.contains(&word.as_str()).then(|| {
            self.at += 1;
            word.clone()
        })
    }

    fn power(&mut self) -> Result<Value> {
        let base = self.unary()?;
        match self.operator(&["^"]) {
            Some(operator) => binary(&operator, base, self.power()?),
            None => Ok(base),
        }
    }

    fn unary(&mut self) -> Result<Value> {
        if self.operator(&["not"]).is_some() {
            // Binds less than comparing does.
            return Ok(match self.level(2)? {
                Truth(truth) => Truth(!truth),
                _ => Nothing,
            });
        }
        if self.operator(&["-"]).is_some() {
            return binary("-", Number(0.0), self.unary()?);
        }
        match self.next()? {
            Token::Number(number) => Ok(Number(number)),
            Token::Text(text) => Ok(Text(text)),
            Token::Sign(sign) if sign == "(" => {
                let value = self.any()?;
                self.expect(")")?;
                Ok(value)
            }
            Token::Name(name) if name == "true" || name == "false" => Ok(Truth(name == "true")),
            Token::Name(name) if self.operator(&["("]).is_some() => self.call(&name),
            Token::Name(name) => self.cell(&name),
            other @ Token::Sign(_) => bail!("{other:?} stands where a value should"),
        }
    }

    /// `step.column` or `step['key'].column`.
    fn cell(&mut self, step: &str) -> Result<Value> {
        let back = self.transcript.step(step)?;
        let row = if self.operator(&["["]).is_some() {
            let key = self.any()?;
            self.expect("]")?;
            back.rows().iter().find(|row| back.first_cell(row).is_some_and(|cell| Some(cell) == plain(&key)))
        } else {
            back.rows().first()
        };
        self.expect(".")?;
        let Token::Name(column) = self.next()? else { bail!("a column's name is missing") };
        Ok(row.and_then(|row| row.get(&column)).map_or(Nothing, value))
    }

    fn call(&mut self, function: &str) -> Result<Value> {
        if let Some(value) = self.about_step(function)? {
            return Ok(value);
        }
        let first = self.any()?;
        let second = if self.operator(&[","]).is_some() { Some(self.any()?) } else { None };
        self.expect(")")?;
        Ok(match (function, first, second) {
            ("default", Nothing, Some(other)) => other,
            ("default", value, Some(_)) => value,
            ("given", value, None) => Truth(value != Nothing),
            ("contains", Text(text), Some(Text(part))) => Truth(text.contains(&part)),
            ("round", Number(number), None) => Number(number.round()),
            ("abs", Number(number), None) => Number(number.abs()),
            ("log", Number(number), Some(Number(base))) => Number(number.log(base)),
            ("contains", _, Some(_)) | ("round" | "abs", _, None) | ("log", _, Some(_)) => Nothing,
            _ => bail!("there is no function `{function}` of so many values"),
        })
    }

    /// A function whose first argument is a step.
    fn about_step(&mut self, function: &str) -> Result<Option<Value>> {
        if !["status", "rows", "held", "body", "bytes", "header", "json", "sum", "has"].contains(&function) {
            return Ok(None);
        }
        let Token::Name(step) = self.next()? else { bail!("`{function}` is about a step") };
        let detail = if self.operator(&[","]).is_some() { plain(&self.any()?) } else { None };
        self.expect(")")?;
        let back = self.transcript.step(&step)?;
        let response = &back.response;
        Ok(Some(match (function, detail) {
            ("status", None) => Number(response.status.into()),
            ("rows", None) if response.status != 200 => Nothing,
            ("rows", None) => Number(back.rows().len() as f64),
            ("held", None) => back.held().map_or(Nothing, Number),
            ("body", None) => Text(response.text()),
            ("bytes", None) => Number(response.body.len() as f64),
            ("header", Some(name)) => response.header(&name).map_or(Nothing, |value| Text(value.to_owned())),
            ("json", Some(pointer)) => back.document.pointer(&pointer).map_or(Nothing, value),
            ("sum", Some(column)) => {
                let numbers = back.rows().iter().filter_map(|row| number(&value(&row[&column])));
                if back.rows().is_empty() { Nothing } else { Number(numbers.sum()) }
            }
            ("has", Some(key)) => Truth(back.rows().iter().any(|row| back.first_cell(row).as_ref() == Some(&key))),
            _ => bail!("`{function}` has too few or too many arguments"),
        }))
    }

    fn next(&mut self) -> Result<Token> {
        let token = self.tokens.get(self.at).cloned().context("it ends too early")?;
        self.at += 1;
        Ok(token)
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        self.operator(&[sign]).map(drop).with_context(|| format!("`{sign}` is missing at token {}", self.at))
    }
}

/// A JSON value as a value of the language; exact decimals are numbers.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Bool(truth) => Truth(*truth),
        other => match text(other) {
            None => Nothing,
            Some(text) => text.parse().map_or(Text(text), Number),
        },
    }
}

/// A value as a text that it could have been read from.
pub fn plain(value: &Value) -> Option<String> {
    match value {
        Nothing => None,
        Number(number) => Some(number.to_string()),
        Text(text) => Some(text.clone()),
        Truth(truth) => Some(truth.to_string()),
    }
}

fn number(value: &Value) -> Option<f64> {
    if let Number(number) = value { Some(*number) } else { None }
}

fn binary(operator: &str, left: Value, right: Value) -> Result<Value> {
    Ok(match (operator, left, right) {
        // One false is enough, and so is one truth.
        ("and", Truth(false), _) | ("and", _, Truth(false)) => Truth(false),
        ("or", Truth(true), _) | ("or", _, Truth(true)) => Truth(true),
        (_, Nothing, _) | (_, _, Nothing) => Nothing,
        ("and", Truth(left), Truth(right)) => Truth(left && right),
        ("or", Truth(left), Truth(right)) => Truth(left || right),
        ("=", left, right) => Truth(left == right),
        ("<>", left, right) => Truth(left != right),
        ("+", Number(left), Number(right)) => Number(left + right),
        ("-", Number(left), Number(right)) => Number(left - right),
        ("*", Number(left), Number(right)) => Number(left * right),
        ("/", Number(left), Number(right)) => Number(left / right),
        ("%", Number(left), Number(right)) => Number(left.rem_euclid(right)),
        ("^", Number(left), Number(right)) => Number(left.powf(right)),
        ("<", Number(left), Number(right)) => Truth(left < right),
        ("<=", Number(left), Number(right)) => Truth(left <= right),
        (">", Number(left), Number(right)) => Truth(left > right),
        (">=", Number(left), Number(right)) => Truth(left >= right),
        (operator, left, right) => bail!("{left:?} {operator} {right:?}"),
    })
}

#[cfg(test)]
mod tests {
    use domicile_harness::Response;
    use serde_json::json;

    use super::*;
    use crate::transcript::Back;

    fn transcript() -> Transcript {
        let answer = json!({
            "columns": [{"name": "city"}, {"name": "x"}],
            "rows": [{"city": "Aachen", "x": 10}, {"city": "Bonn", "x": "2.50"}, {"city": null, "x": null}],
            "suppressed_groups": {"eu": 10, "us": 20},
        });
        let steps = [(200, answer), (403, json!({"rows": [{"x": 1}], "detail": "not allowed"}))];
        let back =
            |(status, body): (u16, Json)| Back::new(Response::new(status, &[("As-Of", "eu=4")], body.to_string()));
        let steps = ["q", "no"].into_iter().map(str::to_owned).zip(steps.map(back));
        Transcript { dataset: "celle_a".to_owned(), steps: steps.collect() }
    }

    #[track_caller]
    fn check(expression: &str, expect: Value) {
        assert_eq!(infer(expression, &transcript()).unwrap_or_else(|error| panic!("{error:#}")), expect);
    }

    #[test]
    fn cells_and_facts() {
        check("q.x", Number(10.0));
        check("q['Bonn'].x * 2", Number(5.0));
        check("q['Celle'].x", Nothing);
        check("no.x", Nothing);
        check("sum(q, 'x')", Number(12.5));
        check("rows(q) + held(q) + status(no)", Number(436.0));
        check("rows(no)", Nothing);
        check("has(q, 'Bonn') and not has(q, 'Celle')", Truth(true));
        check("header(q, 'as-of')", Text("eu=4".to_owned()));
        check("json(q, '/columns/1/name')", Text("x".to_owned()));
        check("contains(body(no), 'allowed')", Truth(true));
        check("'{t}' = 'celle_a'", Truth(true));
    }

    #[test]
    fn operators_bind_as_usual() {
        check("1 + 2 * 3 ^ 2 ^ 0 - -1", Number(8.0));
        check("(1 + 2) * 3 % 4", Number(1.0));
        check("1 + 1 = 2 and 2 > 1 or false", Truth(true));
        check("not 1 = 2", Truth(true));
    }

    #[test]
    fn nothing_comes_of_nothing() {
        check("q['Celle'].x + 1", Nothing);
        check("q['Celle'].x = 1", Nothing);
        check("default(q['Celle'].x, 3) + 1", Number(4.0));
        check("given(q['Celle'].x) or given(q.x)", Truth(true));
        check("q['Celle'].x = 1 and false", Truth(false));
    }

    #[test]
    fn what_is_not_written_well_is_refused() {
        for wrong in ["", "1 +", "(1", "'x", "other.x", "q", "q.x q.x", "sin(1)", "1 + 'x'", "rows(q, 1, 2)"] {
            assert!(infer(wrong, &transcript()).is_err(), "{wrong}");
        }
    }
}
