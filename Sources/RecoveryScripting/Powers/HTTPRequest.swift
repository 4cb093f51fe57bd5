import LuaHost

/// A request as a script asked for it, checked: no line of it can end where the script did not mean it to.
struct HTTPRequest: Sendable {
    var method: String
    var url: HTTPAddress
    var headers: [String: String]
    var body: [UInt8]?

    private static let own: Set<String> = ["content-length", "transfer-encoding", "connection", "expect", "upgrade"]

    /// Checks the parts.
    ///
    /// - Throws: `LuaError` of kind `argument`, which names a header but never shows its value.
    init(
        method: String, url: HTTPAddress, headers: [String: String], body: [UInt8]?, for function: String
    ) throws(LuaError) {
        for (name, value) in headers {
            guard name.wholeMatch(of: /[A-Za-z0-9!#$%&'*+.^_`|~\-]{1,200}/) != nil else {
                throw LuaError(
                    .argument, "\(function): \(ArgumentDecoder.shown(LuaValue(name))) cannot be the name of a header",
                    hint: "letters, digits and '-'")
            }
            guard value.utf8.count <= 16_384, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
                throw LuaError(
                    .argument, "\(function): the value of header '\(name)' cannot be sent",
                    hint: "it is too long, or holds a line end or another control character")
            }
            guard !Self.own.contains(name.lowercased()) else {
                throw LuaError(
                    .argument, "\(function): header '\(name)' is not for scripts to set",
                    hint: "leave it out: it follows from the request")
            }
        }
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }

    /// The request that a redirect asks for.
    func redirected(by status: Int, to target: HTTPAddress) -> HTTPRequest {
        var next = self
        next.url = target
        // What was meant for one host is not for another.
        if target.host != url.host || target.isEncrypted != url.isEncrypted { next.headers = [:] }
        if status == 303 && method != "HEAD" || [301, 302].contains(status) && method == "POST" {
            next.method = "GET"
            next.body = nil
            next.headers = next.headers.filter { !$0.key.lowercased().hasPrefix("content-") }
        }
        return next
    }

    /// The request as curl reads it from its configuration, which no other process sees.
    ///
    /// - Parameter bodyPath: where curl finds the body.
    func configuration(bodyPath: String?, limit: Int) -> String {
        var lines = [
            "silent", "globoff", "proto = \"=http,https\"", "noproxy = \"*\"", "dump-header = \"/dev/stderr\"",
            "max-filesize = \(limit)", "url = \(Self.quoted(url.text))", "header = \"Expect:\"",
            method == "HEAD" ? "head" : "request = \"\(method)\"",
        ]
        let names = Set(headers.keys.map { $0.lowercased() })
        if !names.contains("user-agent") { lines.append("user-agent = \"perilune\"") }
        if let bodyPath {
            lines.append("data-binary = \(Self.quoted("@" + bodyPath))")
            // Else curl calls every body a form.
            if !names.contains("content-type") { lines.append("header = \"Content-Type:\"") }
        }
        lines += headers.sorted { $0.key < $1.key }.map { name, value in
            "header = " + Self.quoted(value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\t", with: "\\t") + "\""
    }
}
