//! Answers that may take long, as long as they come.

use std::time::Duration;

use bytes::BytesMut;
use http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;

use crate::WireError;
use crate::client::{Answer, RequestBody, head, timed_out, unreadable};

/// How large an answer may be, and how slow.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Most bytes of it.
    pub bytes_max: usize,
    /// Longest that nothing may come.
    pub silence_max: Duration,
    /// Bytes a second that it has to bring on average, apart from one pause of the longest kind.
    pub bytes_per_s_min: u64,
}

impl Pace {
    /// The whole answer.
    pub(crate) async fn whole<C: Connect + Clone + Send + Sync + 'static>(
        self,
        http: &Client<C, RequestBody>,
        url: &str,
        request: Request<RequestBody>,
    ) -> Result<Answer, WireError> {
        let response = head(http, url, request, self.silence_max).await?;
        let (parts, mut body) = response.into_parts();
        let (mut whole, started) = (BytesMut::new(), std::time::Instant::now());
        loop {
            let earned = Duration::from_secs_f64(whole.len() as f64 / self.bytes_per_s_min.max(1) as f64);
            let left = (self.silence_max + earned).saturating_sub(started.elapsed()).min(self.silence_max);
            let next = tokio::time::timeout(left, body.frame()).await.map_err(|_| timed_out(url, self.silence_max))?;
            let Some(frame) = next else { break };
            let frame = frame.map_err(|error| unreadable(url, &error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > self.bytes_max {
                return Err(unreadable(url, &format!("the answer has more than {} bytes", self.bytes_max)));
            }
            whole.extend_from_slice(&data);
        }
        Ok(Answer { status: parts.status, headers: parts.headers, body: whole.freeze() })
    }
}
