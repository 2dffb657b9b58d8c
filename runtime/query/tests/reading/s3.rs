//! As much of S3 as an object store client needs, over plain HTTP, in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// The lines of requests so far.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<(String, usize), Vec<u8>>,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Reply {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

pub(crate) fn variables(endpoint: &str, key: &str) -> Vec<(String, String)> {
    let variables = [
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_UNHEARD_OF", "x"),
        ("HOME", "/"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Serves one bucket, `cold`, to the access key `key`.
pub(crate) fn serve(runtime: &Runtime) -> (String, Seen) {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (bucket, seen) = (Arc::new(Mutex::new(Bucket::default())), Seen::default());
    let noted = Arc::clone(&seen);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&bucket), Arc::clone(&noted)));
        }
    });
    (endpoint, seen)
}

async fn connection(stream: TcpStream, bucket: Arc<Mutex<Bucket>>, seen: Seen) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream, &seen).await? {
        let head = request.method == "HEAD";
        let allowed = request.headers.get("authorization").is_some_and(|value| value.contains("Credential=key/"));
        let reply = if allowed {
            bucket.lock().unwrap().reply(request)
        } else {
            Reply { status: "403 Forbidden", headers: Vec::new(), body: Vec::new() }
        };
        let mut text = format!("HTTP/1.1 {}\r\n", reply.status);
        if !reply.headers.iter().any(|(name, _)| *name == "content-length") {
            text += &format!("content-length: {}\r\n", reply.body.len());
        }
        reply.headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
        stream.write_all(format!("{text}\r\n").as_bytes()).await?;
        stream.write_all(if head { &[] } else { &reply.body }).await?;
        stream.flush().await?;
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>, seen: &Seen) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    seen.lock().unwrap().push(format!("{method} {target}"));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let decode = |text: &str| text.replace("%2F", "/");
    let query = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query = query.map(|(name, value)| (name.to_owned(), decode(value))).collect();
    let path = decode(path.strip_prefix("/cold").unwrap()).trim_start_matches('/').to_owned();
    Ok(Some(Request { method, path, query, headers, body }))
}

impl Bucket {
    fn reply(&mut self, request: Request) -> Reply {
        let Request { method, path, query, headers, body } = request;
        let of = |name: &str| query.get(name).map(String::as_str);
        match method.as_str() {
            "POST" if of("uploads").is_some() => {
                xml("<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
            }
            "POST" if of("uploadId").is_some() => {
                let parts = std::mem::take(&mut self.parts).into_iter().filter(|((name, _), _)| *name == path);
                let object = parts.flat_map(|(_, bytes)| bytes).collect();
                self.objects.insert(path, object);
                xml("<CompleteMultipartUploadResult><ETag>\"1\"</ETag></CompleteMultipartUploadResult>")
            }
            "POST" => {
                let text = String::from_utf8(body).unwrap();
                let keys = text.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap());
                let mut deleted = String::new();
                for key in keys {
                    self.objects.remove(key);
                    deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
                }
                xml(&format!("<DeleteResult>{deleted}</DeleteResult>"))
            }
            "PUT" => {
                match of("partNumber") {
                    Some(number) => drop(self.parts.insert((path, number.parse().unwrap()), body)),
                    None => drop(self.objects.insert(path, body)),
                }
                let headers = vec![("etag", "\"1\"".to_owned())];
                Reply { status: "200 OK", headers, body: Vec::new() }
            }
            "DELETE" => {
                self.objects.remove(&path);
                Reply { status: "204 No Content", headers: Vec::new(), body: Vec::new() }
            }
            _ if of("list-type").is_some() => self.list(of("prefix").unwrap_or_default()),
            _ => self.get(&method, &path, headers.get("range").map(String::as_str)),
        }
    }

    fn list(&self, prefix: &str) -> Reply {
        let entry = |(name, bytes): (&String, &Vec<u8>)| {
            let modified = "2024-01-01T00:00:00.000Z";
            format!(
                "<Contents><Key>{name}</Key><LastModified>{modified}</LastModified><ETag>\"1\"</ETag><Size>{}</Size></Contents>",
                bytes.len()
            )
        };
        let found = self.objects.iter().filter(|(name, _)| name.starts_with(prefix));
        let entries: String = found.map(entry).collect();
        xml(&format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"))
    }

    fn get(&self, method: &str, path: &str, range: Option<&str>) -> Reply {
        let mut headers =
            vec![("etag", "\"1\"".to_owned()), ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT".to_owned())];
        let Some(object) = self.objects.get(path) else {
            return Reply { status: "404 Not Found", headers: Vec::new(), body: Vec::new() };
        };
        let Some(range) = range else {
            if method == "HEAD" {
                headers.push(("content-length", object.len().to_string()));
            }
            return Reply { status: "200 OK", headers, body: object.clone() };
        };
        let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let start: usize = start.parse().unwrap();
        let end = (end.parse::<usize>().unwrap() + 1).min(object.len());
        headers.push(("content-range", format!("bytes {start}-{}/{}", end - 1, object.len())));
        Reply { status: "206 Partial Content", headers, body: object[start..end].to_vec() }
    }
}

fn xml(text: &str) -> Reply {
    Reply { status: "200 OK", headers: vec![("content-type", "application/xml".to_owned())], body: text.into() }
}
