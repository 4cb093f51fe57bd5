import COpenSSL
import Glibc
import Synchronization

/// The TLS side of one connection: what was received is read through it, what is to be sent is encrypted by it.
///
/// OpenSSL allows one call at a time, so each holds the lock, and none waits for the network: `StreamSocket` waits. One
/// thread reads, one sends; a heartbeat's thread takes turns with the sender.
final class TLSStream: Sendable {
    /// Which end of the handshake this is.
    enum Role: Equatable {
        /// Connects to this host, by name or number, whose certificate must be for it.
        case sender(to: String)
        case receiver
    }

    enum Step {
        case done
        /// More must come from the peer.
        case needsInput
    }

    /// Plain bytes encrypted at a time: whole records of the largest size, and what the socket then gets with one call.
    static let batch = 8 * 16_384
    /// Room for a batch with what each record adds, and for messages between.
    private static let capacity = batch + 8 * 64 + 8192
    /// AES-GCM must not encrypt more than 2^24.5 records with one key (RFC 8446, 5.5); this is a tenth.
    static let bytesForOneKey: UInt64 = 1 << 35

    private let bytesForOneKey: UInt64
    private let core: Mutex<Core>
    /// What was encrypted and is on its way; held by who sends.
    private let leaving: Mutex<Output>

    /// Begins a connection; its handshake is `shakeHands`.
    init(
        _ identity: TLSIdentity, _ role: Role, descriptor: Int32, bytesForOneKey: UInt64 = TLSStream.bytesForOneKey
    ) throws {
        self.bytesForOneKey = bytesForOneKey
        core = Mutex(try Core(identity, role, descriptor: descriptor, capacity: Self.capacity))
        leaving = Mutex(Output(capacity: Self.capacity))
    }

    /// Goes on with the handshake as far as it can; what it says is sent with `transmit`, also when it fails.
    func shakeHands(_ place: String, _ transmit: (UnsafeRawBufferPointer) throws -> Void) throws -> Step {
        let result = core.withLock { core -> Result<Step, any Error> in
            Result { try core.shakeHands(place) }
        }
        // A peer that is gone cannot be told what was wrong; ours is the better reason.
        do { try flush(transmit) } catch { if case .success = result { throw error } }
        return try result.get()
    }

    /// Reads what has come; nil when more must come first.
    func read(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int? {
        try core.withLock { try $0.read(buffer) }
    }

    /// Whether something can be read at once, be it the end or an error.
    func hasInput() -> Bool { core.withLock { $0.hasInput() } }

    /// Encrypts a header and its payload and sends them in batches with `transmit`, which may wait.
    func send(
        _ header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer,
        _ transmit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var parts = [header, payload]
        while true {
            parts.removeAll { $0.isEmpty }
            guard !parts.isEmpty else { return }
            try core.withLock { core in
                var room = Self.batch
                while let part = parts.first, room > 0 {
                    let count = try core.encrypt(UnsafeRawBufferPointer(rebasing: part.prefix(room)))
                    guard count > 0 else { break }
                    room -= count
                    if count == part.count { parts.removeFirst() } else { parts[0] = .init(rebasing: part[count...]) }
                }
                if core.encrypted > bytesForOneKey { try core.changeKey() }
            }
            try flush(transmit)
        }
    }

    private func flush(_ transmit: (UnsafeRawBufferPointer) throws -> Void) throws {
        try leaving.withLock { output in
            let count = core.withLock { $0.exchange(&output) }
            if count > 0 { try transmit(UnsafeRawBufferPointer(rebasing: output.memory[..<count])) }
        }
    }

    /// Memory for encrypted bytes.
    private struct Output: ~Copyable, @unchecked Sendable {  // reached through the stream's mutexes alone
        var memory: UnsafeMutableRawBufferPointer

        init(capacity: Int) { memory = .allocate(byteCount: capacity, alignment: 4096) }

        deinit { memory.deallocate() }
    }

    /// OpenSSL's object and the pipe beneath it.
    private final class Core: @unchecked Sendable {  // reached through the stream's mutex alone
        private let ssl: OpaquePointer
        private let pipe: UnsafeMutablePointer<copenssl_pipe>
        private let role: Role
        private(set) var encrypted: UInt64 = 0

        init(_ identity: TLSIdentity, _ role: Role, descriptor: Int32, capacity: Int) throws {
            let context = try identity.makeContext()
            // The connection keeps it.
            defer { SSL_CTX_free(context) }
            guard let method = Pipes.method, let ssl = SSL_new(context) else { throw TLSFailure.noMemory }
            let pipe = UnsafeMutablePointer<copenssl_pipe>.allocate(capacity: 1)
            let output = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 4096)
            pipe.initialize(
                to: copenssl_pipe(
                    descriptor: descriptor, failure: 0, ended: 0,
                    output: output.assumingMemoryBound(to: UInt8.self), used: 0, capacity: capacity))
            self.ssl = ssl
            self.pipe = pipe
            self.role = role
            guard let bio = copenssl_new_pipe(method, pipe) else { throw TLSFailure.noMemory }
            SSL_set_bio(ssl, bio, bio)  // Takes it over.
            SSL_set_read_ahead(ssl, 1)
            SSL_set_default_read_buffer_len(ssl, TLSStream.batch)
            switch role {
            case .receiver: SSL_set_accept_state(ssl)
            case .sender(let host):
                SSL_set_connect_state(ssl)
                try TLSFailure.expect(host, ssl)
            }
        }

        deinit {
            SSL_free(ssl)
            pipe.pointee.output.deallocate()
            pipe.deallocate()
        }

        func shakeHands(_ place: String) throws -> Step {
            ERR_clear_error()
            let result = SSL_do_handshake(ssl)
            if result == 1 { return .done }
            if SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ { return .needsInput }
            if let gone { throw gone }
            throw TLSFailure.ofHandshake(ssl, role, place)
        }

        func read(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int? {
            guard !buffer.isEmpty else { return 0 }
            ERR_clear_error()
            var count = 0
            let result = SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count)
            if result == 1 { return count }
            switch SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ: return nil
            case SSL_ERROR_ZERO_RETURN: throw StreamSocket.gone("the peer closed the connection")
            default: throw gone ?? TLSFailure.ofReading(role)
            }
        }

        func hasInput() -> Bool {
            ERR_clear_error()
            var byte: UInt8 = 0
            var count = 0
            let result = SSL_peek_ex(ssl, &byte, 1, &count)
            // Whatever else is wrong, reading will say.
            return result == 1 || SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ
        }

        /// Encrypts into the pipe; 0 when it must be emptied first.
        func encrypt(_ bytes: UnsafeRawBufferPointer) throws -> Int {
            ERR_clear_error()
            var count = 0
            let result = SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &count)
            if result == 1 {
                encrypted += UInt64(count)
                return count
            }
            guard SSL_get_error(ssl, result) == SSL_ERROR_WANT_WRITE else { throw gone ?? TLSFailure.ofReading(role) }
            return 0
        }

        func changeKey() throws {
            guard SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 else { throw TLSFailure.ofReading(role) }
            encrypted = 0
        }

        /// Gives what was encrypted, and takes the memory back for what comes next.
        func exchange(_ output: inout Output) -> Int {
            let count = pipe.pointee.used
            guard count > 0, let filled = UnsafeMutableRawPointer(pipe.pointee.output) else { return 0 }
            let capacity = pipe.pointee.capacity
            pipe.pointee.output = output.memory.baseAddress?.assumingMemoryBound(to: UInt8.self)
            pipe.pointee.used = 0
            output.memory = UnsafeMutableRawBufferPointer(start: filled, count: capacity)
            return count
        }

        /// What the socket itself has to say, when it ended or failed.
        private var gone: ReplicationError? {
            if pipe.pointee.failure != 0 { return StreamSocket.gone(String(cString: strerror(pipe.pointee.failure))) }
            return pipe.pointee.ended != 0 ? StreamSocket.gone("the peer closed the connection") : nil
        }
    }

    private enum Pipes {
        /// OpenSSL's table of the pipe's functions; written once.
        nonisolated(unsafe) static let method = copenssl_pipe_method()
    }
}
