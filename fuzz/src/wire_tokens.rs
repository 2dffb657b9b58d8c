//! What clients say of themselves: tokens.

use domicile_wire::token::{Claims, RawToken, TokenError, sign, unverified, verify};
use ed25519_dalek::SigningKey;

/// A token as a header holds it, or claims that are signed and then read again, at a time that comes first.
pub(crate) fn run(input: &[u8]) {
    let Some((now, bytes)) = input.split_first_chunk::<8>() else { return };
    let (now, key) = (u64::from_le_bytes(*now), SigningKey::from_bytes(&[7; 32]));
    if let Ok(claims) = serde_json::from_slice::<Claims>(bytes) {
        return signed(&claims, &key, now);
    }
    let token = RawToken::new(String::from_utf8_lossy(bytes));
    // Nobody can sign with a key that he does not have.
    let others = SigningKey::from_bytes(&[8; 32]).verifying_key();
    assert!(verify(&token, &[others], now).is_err(), "a token is accepted that nobody signed");
    match (unverified(&token), verify(&token, &[key.verifying_key()], now)) {
        (Err(_), Ok(_)) => panic!("a token is accepted that cannot be read"),
        (Ok(read), Ok(accepted)) => assert_eq!(read, accepted),
        _ => {}
    }
}

/// Whatever claims can be signed are read as they are, by those who trust the key, while they hold.
fn signed(claims: &Claims, key: &SigningKey, now: u64) {
    let Ok(token) = sign(claims, key) else { return };
    assert_eq!(unverified(&token).as_ref(), Ok(claims));
    match verify(&token, &[key.verifying_key()], now) {
        Ok(read) => assert!(read == *claims && now < claims.exp, "an ended token is accepted"),
        Err(TokenError::Expired) => assert!(now >= claims.exp),
        Err(TokenError::Early) => assert!(claims.iat.max(claims.nbf.unwrap_or_default()) > now),
        Err(other) => panic!("what was signed is not accepted: {other}"),
    }
    let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
    assert_eq!(verify(&token, &[other], now), Err(TokenError::Signature));
}
