//! `domicile token`: tokens that say who a client is and where it stands, and the key that signs them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use domicile_types::limits::{TOKEN_BYTES_MAX, TOKEN_LIFETIME_MAX};
use domicile_wire::client::now_unix_ms;
use domicile_wire::token::{Claims, RawToken, Role, sign, unverified};
use serde_json::json;

use crate::args::KeyVerb;
use crate::output::{Failure, Output, say};
use crate::signing_key;

/// The variable that has the token where no file is named.
const VARIABLE: &str = "DOMICILE_TOKEN";
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a key that tokens are signed with.
    #[command(subcommand)]
    Key(KeyVerb),
    /// Make a token and print it.
    New(TokenOf),
    /// Show what a token says. Whether it holds is for regions to check.
    Show {
        /// The token; `-` reads it from standard input.
        token: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct TokenOf {
    /// The key to sign it with, as `domicile token key new` writes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Whose token it is.
    #[arg(long)]
    subject: String,
    /// Who shares an interest in what its holder learns; the subject alone by default.
    #[arg(long)]
    tenant: Option<String>,
    /// Whose law holds where its holder stands, separated by commas, as region files name it under `jurisdictions`.
    #[arg(long = "in", value_name = "JURISDICTIONS", value_delimiter = ',', required = true)]
    jurisdictions: Vec<String>,
    /// What answers may be for; any purpose by default. May come several times.
    #[arg(long = "purpose", value_name = "PURPOSE")]
    purposes: Vec<String>,
    /// What its holder may do: `query` (by default), `load` or `operate`. May come several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// How long it holds: a number with `s`, `m`, `h` or `d`, at most 366d.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = lifetime)]
    expires: Duration,
    /// Who says all this.
    #[arg(long, default_value = "domicile")]
    issuer: String,
}

/// A time of life such as `30d`.
fn lifetime(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is no time of at most 366d; write a number with s, m, h or d, as in 30d");
    let unit = text.chars().last().ok_or_else(refused)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => HOUR_S,
        'd' => DAY_S,
        _ => return Err(refused()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| refused())?;
    let lifetime = number.checked_mul(seconds).map(Duration::from_secs);
    lifetime.filter(|time| !time.is_zero() && *time <= TOKEN_LIFETIME_MAX).ok_or_else(refused)
}

/// The token that the edge is asked with: that of the file, or of the environment, or none.
///
/// # Errors
/// Where the file cannot be read, or has no token.
pub(crate) fn given(file: Option<&Path>) -> Result<Option<RawToken>, Failure> {
    let text = match file {
        None => std::env::var(VARIABLE).unwrap_or_default(),
        Some(file) => {
            let shown = file.display();
            let text = std::fs::read_to_string(file).map_err(|e| Failure::usage(format!("{shown}: {e}")))?;
            if text.trim().is_empty() {
                return Err(Failure::usage(format!("{shown} is empty; `domicile token new` makes a token")));
            }
            text
        }
    };
    let text = text.trim();
    Ok((!text.is_empty()).then(|| RawToken::new(text)))
}

pub(crate) fn run(output: Output, verb: TokenVerb) -> Result<(), Failure> {
    match verb {
        TokenVerb::Key(KeyVerb::New { file }) => new_key(output, &file),
        TokenVerb::New(of) => new(output, of),
        TokenVerb::Show { token } => show(output, token),
    }
}

fn new_key(output: Output, file: &Path) -> Result<(), Failure> {
    let public = signing_key::create(file, "no region trusts it")?;
    let shown = file.display().to_string();
    output.show(&json!({"file": shown, "public_key": public}), || {
        say!("{shown}: a new key, for you alone; make tokens with `domicile token new --key {shown}`");
        say!("Every region needs this in its file, and a restart:");
        say!("[clients]");
        say!("trusted_keys = [\"{public}\"]");
    });
    Ok(())
}

fn new(output: Output, of: TokenOf) -> Result<(), Failure> {
    let key = signing_key::read(&of.key, "domicile token key new")?;
    let now = now_unix_ms() / 1000;
    let mut claims = Claims::new(of.issuer, of.subject, of.jurisdictions, now, now + of.expires.as_secs());
    claims.tenant = of.tenant;
    claims.purposes = Some(of.purposes).filter(|purposes| !purposes.is_empty());
    claims.roles = Some(of.roles).filter(|roles| !roles.is_empty());
    let token = sign(&claims, &key).map_err(Failure::usage)?;
    output.show(&json!({"token": token.expose(), "claims": claims}), || say!("{}", token.expose()));
    Ok(())
}

fn show(output: Output, token: String) -> Result<(), Failure> {
    let mut text = token;
    if text == "-" {
        text.clear();
        let mut input = std::io::stdin().take(TOKEN_BYTES_MAX as u64 + 1);
        input.read_to_string(&mut text).map_err(|e| Failure::usage(format!("standard input: {e}")))?;
    }
    let claims = unverified(&RawToken::new(text.trim())).map_err(Failure::usage)?;
    let now = now_unix_ms() / 1000;
    let expired = now >= claims.exp;
    output.show(&json!({"claims": claims, "expired": expired, "verified": false}), || {
        let roles: Vec<String> = claims.roles().iter().map(Role::to_string).collect();
        let purposes = claims.purposes.as_ref().map_or("any".to_owned(), |purposes| purposes.join(", "));
        let time = if expired { "it ended" } else { "it ends in" };
        let ago = if expired { " ago" } else { "" };
        say!("{} (tenant {}), says {}", claims.sub, claims.tenant(), claims.iss);
        say!("stands in: {}", claims.jurisdictions.join(", "));
        say!("purposes: {purposes}");
        say!("roles: {}", roles.join(", "));
        say!("{time} {}{ago}", span(now.abs_diff(claims.exp)));
        say!("Nobody has checked its signature: a region does, when it is asked.");
    });
    Ok(())
}

/// A time in its largest unit.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..HOUR_S => format!("{} min", seconds / 60),
        HOUR_S..DAY_S => format!("{} h", seconds / HOUR_S),
        _ => format!("{} days", seconds / DAY_S),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect_s: Option<u64>) {
        assert_eq!(lifetime(text).ok(), expect_s.map(Duration::from_secs), "{text}");
    }

    #[test]
    fn times_of_life() {
        check("30d", Some(30 * 86_400));
        check("12h", Some(12 * 3600));
        check("90m", Some(5400));
        check("1s", Some(1));
        check("366d", Some(366 * 86_400));
        for refused in ["", "d", "0d", "367d", "30", "-1d", "1.5d", "30D", "3é", "99999999999999999999d"] {
            check(refused, None);
        }
    }
}
