//! The dashboard as it is served: to whom, whole, and with nothing from elsewhere. What it shows is tested in a real browser (tests/it/browser.rs).

use crate::ask::{example, get_with, router};

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

#[tokio::test]
async fn a_browser_is_given_the_page_and_a_program_the_welcome() {
    let router = router(&example());
    let page = get_with(&router, "/?from=-1h&customer=cust_1", &[BROWSER]).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text().starts_with("<!doctype html>"), "{}", page.text());
    for headers in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        let welcome = get_with(&router, "/", headers).await;
        assert_eq!(welcome.header("content-type"), "application/json");
        assert!(welcome.header("vary").contains("Accept"), "{}", welcome.header("vary"));
    }
    assert!(page.header("vary").contains("Accept"), "{}", page.header("vary"));
}

#[tokio::test]
async fn the_page_runs_nothing_inline_and_loads_from_this_server_only() {
    let router = router(&example());
    let page = get_with(&router, "/", &[BROWSER]).await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let inline = ["<style", "style=", "onclick=", "javascript:"];
    assert!(inline.iter().all(|inline| !page.text().contains(inline)), "{}", page.text());
    assert!(!page.text().contains("=\"http") && !page.text().contains("=\"//"), "{}", page.text());
    for script in page.text().split("<script").skip(1) {
        assert!(script.split('>').next().is_some_and(|tag| tag.contains("src=\"/dashboard/")), "{script}");
    }
}

#[tokio::test]
async fn its_files_are_kept_by_their_tags() {
    let router = router(&example());
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard/app.js", "text/javascript; charset=utf-8"),
        ("/dashboard/app.css", "text/css; charset=utf-8"),
    ] {
        let file = get_with(&router, path, &[BROWSER]).await;
        assert_eq!((file.status.as_u16(), file.header("content-type")), (200, content_type), "{path}");
        assert_eq!(file.header("cache-control"), "no-cache", "{path}");
        let again = get_with(&router, path, &[BROWSER, ("if-none-match", file.header("etag"))]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
    }
}
