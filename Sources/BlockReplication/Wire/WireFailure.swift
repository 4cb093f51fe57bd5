import Foundation

/// An error as it crosses a connection: code, message, hint and context; never the cause, which may name what is not
/// the peer's.
struct WireFailure: Codable, Sendable {
    var code: String
    var message: String
    var hint: String
    var context: [String: String]?

    init(_ error: ReplicationError) {
        code = error.code.rawValue
        message = String(error.message.prefix(2000))
        hint = String(error.hint.prefix(2000))
        context = error.context.isEmpty ? nil : error.context.mapValues { String($0.prefix(500)) }
    }

    /// The error on this side; a code of a later version becomes `.io`.
    var error: ReplicationError {
        ReplicationError(
            ReplicationError.Code(rawValue: code) ?? .io, message, hint: hint, context: context ?? [:])
    }

    static func encode(_ error: ReplicationError) -> Data {
        var failure = WireFailure(error)
        if let data = try? JSONEncoder().encode(failure), data.count <= FrameKind.failure.payloadLimit { return data }
        failure.context = nil
        return (try? JSONEncoder().encode(failure)) ?? Data()
    }

    static func decode(_ bytes: UnsafeRawBufferPointer) -> ReplicationError {
        guard let failure = try? JSONDecoder().decode(WireFailure.self, from: Data(bytes)) else {
            return .malformed("the peer failed and its reason cannot be read")
        }
        return failure.error
    }
}

extension ReplicationError {
    /// Any error as one of this module.
    static func wrapping(_ error: any Error) -> ReplicationError {
        if let error = error as? ReplicationError { return error }
        if error is CancellationError { return .givenUp }
        return ReplicationError(
            .io, "an operation failed: \(error)", hint: "read the agent's log at that host, then try again",
            cause: error)
    }
}
