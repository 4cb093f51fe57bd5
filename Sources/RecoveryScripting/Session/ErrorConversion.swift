import BlockReplication
import Hypervisors
import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// Errors of the parts below, as Lua error objects.
enum ErrorConversion {
    /// Runs a body and turns what it throws into a `LuaError` about the object.
    static func converting<Value>(about object: LuaObject?, _ body: () throws -> Value) throws(LuaError) -> Value {
        do { return try body() } catch { throw luaError(error, about: object) }
    }

    /// Runs a body that waits and turns what it throws into a `LuaError` about the object.
    static func converting<Value: Sendable>(
        about object: LuaObject?, _ body: () async throws -> Value
    ) async throws(LuaError) -> Value {
        do { return try await body() } catch { throw luaError(error, about: object) }
    }

    /// The error as scripts see it: the kind is the code of the part that raised it, in words with hyphens.
    static func luaError(_ error: any Error, about object: LuaObject?) -> LuaError {
        switch error {
        case var error as LuaError:
            if error.object == nil { error.object = object }
            return error
        case let error as EngineError:
            return LuaError(
                kind(error.kind.rawValue), error.message, hint: error.hint, rule: error.rule, object: object,
                retryable: [.busy, .unreachable].contains(error.kind),
                cause: error.cause.map { luaError($0, about: nil) })
        case let error as VaultError:
            return LuaError(
                kind(error.code.rawValue), error.message, hint: error.hint, object: object,
                retryable: [.stale, .leaseHeld, .locked].contains(error.code))
        case let error as HypervisorError:
            return LuaError(
                kind(error.code.rawValue), error.message, hint: error.hint, object: object,
                retryable: [.unreachable, .busy, .timedOut].contains(error.code))
        case let error as ReplicationError:
            return LuaError(
                kind(error.code.rawValue), error.message, hint: error.hint, object: object,
                retryable: [.busy, .disconnected, .timedOut].contains(error.code))
        case let violation as PolicyViolation:
            return LuaError(.argument, violation.sentence, object: object)
        case let error as any PowerError:
            return LuaError(.host, error.message, hint: error.advice, object: object)
        case is CancellationError:
            return LuaError(.cancelled, "the task was cancelled", object: object)
        default:
            return LuaError(.host, "\(error)", object: object)
        }
    }

    /// `timedOut` becomes `timed-out`: scripts see words with hyphens everywhere.
    static func kind(_ code: String) -> LuaError.Kind {
        var word = ""
        for letter in code {
            if letter.isUppercase, !word.isEmpty { word += "-" }
            word += letter.lowercased()
        }
        return LuaError.Kind(rawValue: word)
    }
}
