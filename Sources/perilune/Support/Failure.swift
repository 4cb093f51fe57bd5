internal import ArgumentParser
import BlockReplication
import Foundation
import Hypervisors
import Lab
import LuaHost
import RecoveryEngine
import RecoveryScripting
import Simulation
import VaultStore

/// Turns any error into what an operator reads, and into an exit code.
enum Failure {
    static let failed: Int32 = 1
    static let refused: Int32 = 2
    static let unavailable: Int32 = 3
    static let interrupted: Int32 = 4
    static let paused: Int32 = 5

    /// Runs a command's body; prints what went wrong on standard error and ends with its exit code.
    static func reporting(_ body: () async throws -> Void) async throws {
        do {
            do {
                try await body()
            } catch {
                await VaultShipping.finish()
                throw error
            }
            await VaultShipping.finish()
        } catch let code as ExitCode {
            throw code
        } catch let error as ValidationError {
            throw error
        } catch {
            report(error)
            throw ExitCode(exitCode(for: error))
        }
    }

    static func report(_ error: any Error) {
        let (message, hint) = words(for: error)
        Terminal.complain("error: \(message)")
        if let hint { Terminal.complain("  hint: \(hint)") }
    }

    static func words(for error: any Error) -> (message: String, hint: String?) {
        switch error {
        case let error as EngineError: (error.message, error.hint)
        case let error as VaultError: (error.message, error.hint)
        case let error as HypervisorError: (error.message, error.hint)
        case let error as ReplicationError: (error.message, error.hint)
        case let error as LabError: (error.message, error.hint)
        case let error as SimulationError: (error.message, error.hint)
        case let error as LuaError: (ErrorLine.text(error), error.hint)
        default: ("\(error)", nil)
        }
    }

    /// Kinds of a script's error that say that a host or the vault cannot be had.
    private static let unavailableKinds: Set<String> = ["unreachable", "disconnected", "superseded", "vanished"]

    static func exitCode(for error: any Error) -> Int32 {
        switch error {
        case let error as EngineError:
            switch error.kind {
            case .refused, .busy, .sourceNotDown, .targetNotDown: refused
            case .unreachable: unavailable
            default: failed
            }
        case is CancellationError: interrupted
        case let error as LuaError:
            error.rule != nil ? refused : unavailableKinds.contains(error.kind.rawValue) ? unavailable : failed
        case is VaultError: unavailable
        case let error as HypervisorError: error.code == .unreachable ? unavailable : failed
        case let error as ReplicationError: error.code == .disconnected ? unavailable : failed
        default: failed
        }
    }
}
