import Foundation
import LuaHost

/// A URL that a request may go to.
struct HTTPAddress: Hashable, Sendable {
    /// As it is sent; may hold secrets, so that no message shows it.
    let text: String
    let isEncrypted: Bool
    /// Host and port: all of the URL that messages show.
    let host: String

    /// Checks a URL.
    ///
    /// - Throws: `LuaError` of kind `argument` when it is not `http` or `https`, or holds what no URL holds: every reader of
    ///   it has to see the same host.
    init(_ text: String, for function: String) throws(LuaError) {
        let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !#""\<>^`{|}"#.utf8.contains($0) }
        guard isPlain, text.utf8.count <= 8192, let parts = URLComponents(string: text),
            let scheme = parts.scheme?.lowercased(), ["http", "https"].contains(scheme),
            let host = parts.host, !host.isEmpty, parts.port.map({ (1...65535).contains($0) }) ?? true,
            Self.authority(of: text).filter({ $0 == "@" }).count <= 1
        else {
            throw LuaError(
                .argument, "\(function): 'url' must be a URL that begins with http:// or https://",
                hint: "other characters than ASCII's, spaces and quotes are written as %XX")
        }
        self.text = text
        isEncrypted = scheme == "https"
        self.host = "\(host.lowercased()):\(parts.port ?? (isEncrypted ? 443 : 80))"
    }

    /// Where a redirect leads.
    func following(_ location: String, for function: String) throws(LuaError) -> HTTPAddress {
        guard let base = URL(string: text), let target = URL(string: location, relativeTo: base) else {
            throw LuaError("protocol", "\(function): \(host) leads on to what is no URL")
        }
        do { return try HTTPAddress(target.absoluteString, for: function) } catch {
            throw LuaError("redirects", "\(function): \(host) leads on to what is no http:// or https:// URL")
        }
    }

    private static func authority(of text: String) -> Substring {
        guard let start = text.range(of: "://")?.upperBound else { return "" }
        return text[start...].prefix { !"/?#".contains($0) }
    }
}
