//! Tokens, whole and bent, and claims.

use domicile_wire::token::{Claims, sign};
use ed25519_dalek::SigningKey;

use crate::Seed;

/// A token, one cut short, one by nobody, and claims.
pub(crate) fn seeds() -> Result<Vec<Seed>, Box<dyn std::error::Error>> {
    let mut claims = Claims::new("issuer", "analyst", vec!["EU".to_owned(), "DE".to_owned()], 1_000, 2_000);
    claims.purposes = Some(vec!["reporting".to_owned()]);
    let token = sign(&claims, &SigningKey::from_bytes(&[7; 32]))?;
    let text = token.expose();
    let unsigned = text.rsplit_once('.').map_or(String::new(), |(signed, _)| format!("{signed}."));
    let seed = |name: &str, text: &str| {
        ("wire_tokens", name.to_owned(), [1_500_u64.to_le_bytes().as_slice(), text.as_bytes()].concat())
    };
    Ok(vec![
        seed("token", text),
        seed("cut", &text[..text.len() / 2]),
        seed("unsigned", &unsigned),
        seed("claims", &serde_json::to_string(&claims)?),
    ])
}
