internal import Foundation

/// A connection URI that may be used, and what of it may be shown.
struct LibvirtURI: Hashable, Sendable {
    let text: String
    /// The URI without password and without query values other than the socket's path.
    let display: String

    /// Refuses what would make libvirt run a program of the URI's choosing (`command`, `netcat`, the `ext` transport).
    init(_ text: String) throws {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme, !scheme.isEmpty,
            text.utf8.count <= 4096
        else {
            throw HypervisorError(
                .unsupported, "'\(text.prefix(100))' is not a connection URI",
                hint: "write it like qemu:///system or qemu+unix:///system?socket=/path/libvirt-sock")
        }
        let keys = (parts.queryItems ?? []).map { $0.name.lowercased() }
        if scheme.lowercased().hasSuffix("+ext")
            || keys.contains(where: { ["command", "netcat", "proxy"].contains($0) })
        {
            throw HypervisorError(
                .unsupported, "a connection URI may not name a program to run",
                hint: "leave out command=, netcat=, proxy= and the ext transport")
        }
        self.text = text
        var shown = parts
        shown.password = nil
        let items = (parts.queryItems ?? []).filter { $0.name == "socket" }
        shown.queryItems = items.isEmpty ? nil : items
        display = shown.string ?? scheme
    }
}
