import Glibc

/// Where an agent listens: `host:port`, `[v6 address]:port`, or the absolute path of a Unix socket.
struct SocketAddress: Sendable, CustomStringConvertible {
    enum Kind: Sendable {
        case tcp(host: String, port: String)
        case unix(path: String)
    }

    let kind: Kind
    let description: String

    /// Reads an address as an operator or a ticket writes it.
    init(_ text: String) throws {
        description = text
        if text.hasPrefix("/") {
            guard text.utf8.count < Self.unixPathLimit, !text.utf8.contains(0) else {
                throw ReplicationError(
                    .invalidArgument, "the socket path \(text) is longer than \(Self.unixPathLimit - 1) bytes",
                    hint: "use a shorter folder; the operating system allows no longer socket path")
            }
            kind = .unix(path: text)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw Self.unreadable(text)
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty, host.utf8.count <= 255, !host.utf8.contains(0) else { throw Self.unreadable(text) }
        kind = .tcp(host: host, port: String(port))
    }

    /// Size of `sun_path`.
    static let unixPathLimit = 108

    private static func unreadable(_ text: String) -> ReplicationError {
        ReplicationError(
            .invalidArgument, "'\(text)' is no address",
            hint: "write host:port (10.99.0.1:7731) or the absolute path of a Unix socket")
    }

    /// Calls `body` with each socket address that this one stands for, until one returns a value.
    func forEachResolved<Value>(
        passive: Bool, _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) throws -> Value?
    ) throws -> Value? {
        switch kind {
        case .unix(let path):
            return try withUnixAddress(path) { try body(AF_UNIX, $0, $1) }
        case .tcp(let host, let port):
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            hints.ai_flags = passive ? AI_PASSIVE | AI_NUMERICSERV : AI_NUMERICSERV
            var list: UnsafeMutablePointer<addrinfo>?
            let status = getaddrinfo(host, port, &hints, &list)
            guard status == 0 else {
                throw ReplicationError(
                    .disconnected,
                    "the address \(description) cannot be resolved: \(String(cString: gai_strerror(status)))",
                    hint: "check the host's name in the configuration, or use its number")
            }
            defer { freeaddrinfo(list) }
            var entry = list
            while let info = entry?.pointee {
                if let address = info.ai_addr, let value = try body(info.ai_family, address, info.ai_addrlen) {
                    return value
                }
                entry = info.ai_next
            }
            return nil
        }
    }
}

/// Calls `body` with a Unix socket's address; the path is no longer than `SocketAddress` allows.
func withUnixAddress<Value>(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Value
) rethrows -> Value {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { field in
        field.copyBytes(from: path.utf8.prefix(field.count - 1))
    }
    return try withUnsafePointer(to: &address) { pointer in
        try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            try body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
