import Glibc

/// Where figures are served: an address of this machine, by default loopback alone.
package struct MetricsAddress: Hashable, Sendable, CustomStringConvertible {
    /// IPv4 or IPv6 address, without brackets.
    package let host: String
    package let port: UInt16

    /// Reads "9732", "127.0.0.1:9732" or "[::1]:9732".
    ///
    /// - Throws: `EngineError` of kind `invalid` for anything else; names of hosts are none of them.
    package init(_ text: String) throws(EngineError) {
        var (host, port): (Substring, Substring) = ("127.0.0.1", text[...])
        if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
            if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        }
        var four = in_addr()
        var six = in6_addr()
        let address = String(host)
        guard let number = UInt16(port), port.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            inet_pton(AF_INET, address, &four) == 1 || inet_pton(AF_INET6, address, &six) == 1
        else {
            throw EngineError(
                .invalid, "'\(text)' is no address to serve figures at",
                hint: "give a port, which is served on loopback, or ADDRESS:PORT, such as 127.0.0.1:9732 or [::1]:9732")
        }
        self.host = address
        self.port = number
    }

    /// The same at another port: the one that was taken where 0 was asked for.
    package func with(port: UInt16) -> String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    package var isLoopback: Bool { host.hasPrefix("127.") || host == "::1" }

    package var description: String { with(port: port) }
}
