import Glibc

/// How the connections that carry disks' content are protected: one choice for each agent.
package enum DataSecurity: Sendable, Equatable {
    /// TLS 1.3 with the key and the certificates of this file, read anew for each connection.
    case tls(identity: String)
    /// Nothing protects them; the operator has said so by name.
    case plain
    /// Nothing protects them, and none leaves this machine.
    case local

    /// Whether connections are encrypted.
    package var isEncrypted: Bool {
        if case .tls = self { return true }
        return false
    }

    /// Refuses, when an agent starts, what it could not serve: `invalidArgument`, or what is wrong with the identity.
    ///
    /// A certificate that has ended is no reason: the agent has more to do than to move data, and `doctor` names it.
    func check(listening address: SocketAddress) throws {
        switch self {
        case .plain: return
        case .local:
            guard try address.isLocal(passive: true) else {
                throw ReplicationError(
                    .invalidArgument, "without TLS, disks' content would travel readable to everybody over \(address)",
                    hint: "make a certificate (perilune authority create, then issue \(address.host ?? "HOST")) and"
                        + " start the agent with --tls FILE; on a network that is protected otherwise, say --without-tls"
                )
            }
        case .tls(let path):
            guard let host = address.host else {
                throw ReplicationError(
                    .invalidArgument, "a certificate is for a network address, and \(address) is a Unix socket",
                    hint: "listen on host:port, or leave --tls out: a Unix socket does not leave the machine")
            }
            try TLSIdentity(reading: path).requireName(host)
        }
    }

    /// Refuses to send in a way that the receiver does not take, or that would show content to the network.
    func check(sendingTo address: SocketAddress, encrypted: Bool) throws {
        switch (self, encrypted) {
        case (.tls, true), (.plain, false): return
        case (.tls, false):
            throw ReplicationError(
                .notAuthorized, "this agent sends with TLS only, and the one at \(address) takes data without",
                hint: "give that agent a certificate too: perilune authority issue \(address.host ?? "HOST"), then"
                    + " start it with --tls FILE")
        case (.plain, true), (.local, true):
            throw ReplicationError(
                .notAuthorized, "the agent at \(address) takes data with TLS only, and this one has no certificate",
                hint: "give this agent a certificate of the same authority: perilune authority issue HOST, then start"
                    + " it with --tls FILE")
        case (.local, false):
            guard try address.isLocal(passive: false) else {
                throw ReplicationError(
                    .notAuthorized, "without TLS, disks' content would travel readable to everybody to \(address)",
                    hint: "start both agents with --tls FILE (perilune authority makes the certificates); on a network"
                        + " that is protected otherwise, start them with --without-tls")
            }
        }
    }
}

extension DataSecurity {
    /// First byte of a TLS record that begins a handshake (RFC 8446, 5.1); no frame of ours begins with it.
    private static let handshakeRecord: UInt8 = 22

    /// Connects to a receiver's data address, and proves that it is that host where the ticket says so.
    func connect(
        to address: SocketAddress, encrypted: Bool, interrupt: Interrupt, handshakeSeconds: Double
    ) throws -> StreamSocket {
        try check(sendingTo: address, encrypted: encrypted)
        // First, for what is wrong with our own file is not to be sought at the other host.
        let identity = try identity()
        let socket = try StreamSocket.connect(to: address, interrupt: interrupt, timeoutSeconds: 10)
        if let identity, let host = address.host {
            try socket.secure(identity, .sender(to: host), place: address.description, seconds: handshakeSeconds)
        }
        return socket
    }

    /// Makes a connection that was accepted what it must be; false when it cannot be, and has been told.
    ///
    /// Blocks for the handshake.
    func accept(_ socket: StreamSocket, seconds: Double) -> Bool {
        do {
            guard let identity = try identity() else { return true }
            guard try socket.firstByte() == Self.handshakeRecord else {
                // Only who came without TLS can read this.
                WireChannel(socket).fail(
                    with: ReplicationError(
                        .protocolViolation, "this agent takes data with TLS only",
                        hint: "start the sender's agent with --tls FILE too (perilune authority issue makes the file)"))
                return false
            }
            try socket.secure(identity, .receiver, place: "the sender", seconds: seconds)
            return true
        } catch let error as ReplicationError where error.code == .notAuthorized || error.code == .damaged {
            // Our word on the sender's certificate has left as an alert, which what it still sends must not drown.
            socket.linger(seconds: 5)
        } catch {}
        socket.shutDown()
        return false
    }

    /// Shakes hands as a sender would, where this agent sends with TLS.
    func greet(_ socket: StreamSocket, host: String, seconds: Double) throws {
        guard let identity = try identity() else { return }
        try socket.secure(identity, .sender(to: host), place: host, seconds: seconds)
    }

    /// What `doctor` wants to know.
    func facts(listening address: String) -> SecurityFacts {
        let place = try? SocketAddress(address)
        let isLocal = (try? place?.isLocal(passive: true)) ?? false
        guard case .tls(let path) = self else { return SecurityFacts(isEncrypted: false, isLocal: isLocal) }
        var facts = SecurityFacts(isEncrypted: true, isLocal: isLocal)
        do {
            let identity = try TLSIdentity(reading: path)
            facts.certificate = identity.facts
            if let host = place?.host { try identity.requireName(host) }
        } catch {
            facts.problem = ReplicationError.wrapping(error).message
        }
        return facts
    }

    /// Key and certificates as the file has them now; nil without TLS.
    private func identity() throws -> TLSIdentity? {
        guard case .tls(let path) = self else { return nil }
        return try TLSIdentity(reading: path)
    }
}

extension SocketAddress {
    /// Name or number of the host; nil for a Unix socket.
    var host: String? {
        if case .tcp(let host, _) = kind { return host }
        return nil
    }

    /// Whether nothing that is sent there leaves this machine: a Unix socket, or numbers of the loopback alone.
    func isLocal(passive: Bool) throws -> Bool {
        // The first that is not local ends the search.
        try forEachResolved(passive: passive) { family, address, _ -> Bool? in
            switch family {
            case AF_UNIX: return nil
            case AF_INET:
                let local = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    UInt32(bigEndian: $0.pointee.sin_addr.s_addr) >> 24 == 127
                }
                return local ? nil : false
            default:
                let local = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    withUnsafeBytes(of: $0.pointee.sin6_addr) { $0.dropLast().allSatisfy { $0 == 0 } && $0[15] == 1 }
                }
                return local ? nil : false
            }
        } ?? true
    }
}
