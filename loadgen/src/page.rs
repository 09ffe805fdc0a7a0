//! A result as one page for a browser: it holds the result file itself, and draws everything from
//! it. It fetches nothing, and what is in the result is text to it, never markup.

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// In the order in which they use each other.
const SCRIPT: [&str; 4] = [
    include_str!("page/histogram.js"),
    include_str!("page/chart.js"),
    include_str!("page/page.js"),
    include_str!("page/extras.js"),
];

/// The page of a result file.
pub(crate) fn page(result: &str) -> String {
    let script = SCRIPT.concat();
    // A result may hold what a server said. `<` stands in JSON only within strings, where this is
    // the same; nothing there can end the element.
    let result = result.trim_end().replace('<', "\\u003c");
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + script.len() + result.len());
    let mut rest = PAGE;
    for (mark, text) in [
        ("/*STYLE*/", STYLE.trim_end()),
        ("/*RESULT*/", result.as_str()),
        ("/*SCRIPT*/", script.trim_end()),
    ] {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use simd_json::prelude::*;

    /// What stands between the marks of an element.
    fn element<'a>(page: &'a str, opens: &str) -> &'a str {
        let (_, inside) = page.split_once(opens).unwrap();
        inside.split_once("</script>").unwrap().0
    }

    #[test]
    fn it_holds_the_result_and_everything_else_once() {
        let result =
            "{\"notes\": [\"</script><script>alert(1)</script> /*SCRIPT*/\", \"a & b\"]}\n";
        let page = page(result);
        let held = element(&page, "<script type=\"application/json\" id=\"result\">");
        assert!(!held.contains('<'), "{held}");
        let mut text = held.as_bytes().to_vec();
        let value = simd_json::to_owned_value(&mut text).unwrap();
        assert_eq!(value["notes"][0], "</script><script>alert(1)</script> /*SCRIPT*/");
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(element(&page, "<script>\n").contains("async function main()"));
        assert!(page.contains("prefers-color-scheme: dark") && page.ends_with("</html>\n"));
    }

    /// Self-contained: no address but that of the SVG's name space.
    #[test]
    fn it_fetches_nothing() {
        let page = page("{}");
        let addresses: Vec<_> = page.match_indices("//").map(|(at, _)| &page[at - 5..at]).collect();
        let fetched = addresses.iter().filter(|before| before.ends_with(':'));
        assert_eq!(fetched.count(), 1, "{addresses:?}");
        for word in ["<link", "@import", "fetch(", "XMLHttpRequest", "import(", " src="] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
