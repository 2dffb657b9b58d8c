//! What a body says that it is.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

use crate::body;
use crate::problems::Refusal;

/// Character sets whose texts are UTF-8 as they are.
const CHARSETS: [&str; 2] = ["utf-8", "us-ascii"];

/// The media type in `Content-Type` in lower case, without its parameters; none where there is no such header.
///
/// # Errors
/// Where the header is not text, or names a character set that would have to be converted.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(header) = body::header(headers, CONTENT_TYPE.as_str())? else { return Ok(None) };
    let mut parts = header.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        let charset = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset")
            && !CHARSETS.iter().any(|known| charset.eq_ignore_ascii_case(known))
        {
            return Err(body::unsupported("a text", "charset=utf-8", header));
        }
    }
    Ok(Some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expect: Option<&str>) {
        let value = header.parse().unwrap_or_else(|error| panic!("{error}"));
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
        assert_eq!(media_type(&headers).ok().flatten().as_deref(), expect, "{header}");
    }

    #[test]
    fn texts_are_utf_8() {
        for plain in ["text/csv", "Text/CSV; charset=UTF-8", "text/csv;header=present; Charset=\"us-ascii\""] {
            check(plain, Some("text/csv"));
        }
        for other in ["text/csv; charset=latin1", "text/csv;header=present;CHARSET=\"utf-16\"", "text/csv; charset="] {
            check(other, None);
        }
    }
}
