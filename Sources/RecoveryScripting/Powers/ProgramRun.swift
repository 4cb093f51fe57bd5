import Glibc
import RecoveryEngine
import Subprocess
import Synchronization
import SystemPackage

/// One run of a program by its argument vector: no shell reads it, and it is over in time.
///
/// The program leads a process group of its own. When it has to end early, all of the group is asked to, and after 2 s
/// killed; a process that left the group (`setsid`) is not reached.
struct ProgramRun: Sendable {
    /// The program, found in the environment's `PATH` unless it has a `/`, and what it is given.
    var arguments: [String]
    /// All of its environment.
    var environment: [String: String]
    /// Its working directory; nil for this process's own.
    var folder: String?
    /// What it finds on its standard input.
    var input: [UInt8] = []
    /// Bytes kept of each of its outputs.
    var outputLimit: Int
    /// What becomes of a program that says more: it is ended, or goes on unheard.
    var endsAtLimit = false
    /// Seconds.
    var timeout: Double
    let clock: any EngineClock

    /// Runs the program to its end.
    ///
    /// The task in which it runs is never cancelled, and its outputs are read to their end, whatever happens: swift-subprocess
    /// 1.0.2 closes an output that is given up before, and keeps it registered, so that another program's output which
    /// gets the same descriptor is never heard of. What has to end is ended by signals.
    func result() async throws(ProgramFailure) -> ProgramResult {
        let leader = ProcessGroup()
        let running = Task { await run(leader) }
        let timer = Task {
            try await clock.sleep(seconds: timeout)
            leader.end(because: .timedOut)
        }
        let outcome = await withTaskCancellationHandler {
            await running.value
        } onCancel: {
            leader.end(because: .cancelled)
        }
        timer.cancel()
        if let reason = leader.finish() { throw reason }
        return try outcome.get()
    }

    private func run(_ leader: ProcessGroup) async -> Result<ProgramResult, ProgramFailure> {
        var options = PlatformOptions()
        options.processGroupID = 0
        let program = arguments.first ?? ""
        do {
            let standardInput = try MemoryFile(input)
            let configuration = Configuration(
                executable: program.contains("/") ? .path(FilePath(program)) : .name(program),
                arguments: .init(Array(arguments.dropFirst())),
                environment: .custom(
                    Dictionary(
                        uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0.key), $0.value) })),
                workingDirectory: folder.map { FilePath($0) }, platformOptions: options)
            let result = try await Subprocess.run(
                configuration,
                input: .fileDescriptor(
                    FileDescriptor(rawValue: standardInput.descriptor), closeAfterSpawningProcess: false),
                output: .sequence, error: .sequence
            ) { execution in
                leader.begin(execution.processIdentifier.value)
                async let output = keep(execution.standardOutput, of: leader)
                async let errors = keep(execution.standardError, of: leader)
                return (try await output, try await errors)
            }
            withExtendedLifetime(standardInput) {}
            return .success(
                ProgramResult(result.terminationStatus, output: result.closureResult.0, errors: result.closureResult.1))
        } catch let failure as ProgramFailure {
            return .failure(failure)
        } catch let error as SubprocessError {
            return .failure(ProgramFailure(error))
        } catch {
            return .failure(error is CancellationError ? .cancelled : .cannotStart("\(error)"))
        }
    }

    private func keep(
        _ stream: SubprocessOutputSequence, of leader: ProcessGroup
    ) async throws -> ProgramResult.Text {
        var kept = ProgramResult.Text()
        for try await buffer in stream {
            let room = outputLimit - kept.bytes.count
            kept.isCut = kept.isCut || buffer.count > room
            if kept.isCut, endsAtLimit { leader.end(because: .tooMuchOutput) }
            buffer.withUnsafeBytes { kept.bytes.append(contentsOf: $0.prefix(room)) }
        }
        return kept
    }
}

/// How a program ended, and what it said.
struct ProgramResult: Sendable {
    struct Text: Sendable {
        var bytes: [UInt8] = []
        /// Whether the program said more than was kept.
        var isCut = false
    }

    /// Its exit status; nil when a signal ended it.
    let status: Int?
    let signal: Int?
    let output: Text
    let errors: Text

    init(_ termination: TerminationStatus, output: Text, errors: Text) {
        switch termination {
        case .exited(let code): (status, signal) = (Int(code), nil)
        case .signaled(let number): (status, signal) = (nil, Int(number))
        }
        self.output = output
        self.errors = errors
    }
}

/// Why there is no result of a program.
enum ProgramFailure: Error, Hashable {
    case notFound
    case noFolder
    case cannotStart(String)
    case timedOut
    case tooMuchOutput
    case cancelled

    init(_ error: SubprocessError) {
        switch error.code {
        case .executableNotFound: self = .notFound
        case .failedToChangeWorkingDirectory: self = .noFolder
        default: self = .cannotStart(error.underlyingError.map { "\($0)" } ?? "\(error)")
        }
    }
}

/// The process group of a program, from before it starts until it is over.
private final class ProcessGroup: Sendable {
    private struct State {
        var id: pid_t?
        var reason: ProgramFailure?
        var isOver = false

        func send(_ signal: Int32) {
            // The number is not given to another process as long as the group has a member or its leader was not waited for.
            if let id, id > 1, !isOver { _ = kill(-id, signal) }
        }
    }

    private static let patience: Duration = .seconds(2)
    private let state = Mutex(State())

    /// The program has started; if it should have ended by now, it is killed.
    func begin(_ id: pid_t) {
        state.withLock { state in
            state.id = id
            if state.reason != nil { state.send(SIGKILL) }
        }
    }

    /// Asks all of the group to end, and kills it a little later; the first reason counts.
    func end(because reason: ProgramFailure) {
        let isFirst = state.withLock { state in
            guard state.reason == nil, !state.isOver else { return false }
            state.reason = reason
            state.send(SIGTERM)
            return true
        }
        guard isFirst else { return }
        Task {
            try await Task.sleep(for: Self.patience)
            state.withLock { $0.send(SIGKILL) }
        }
    }

    /// The leader is over: what it left in its group is killed if it was to end too, and why is returned.
    func finish() -> ProgramFailure? {
        state.withLock { state in
            if state.reason != nil { state.send(SIGKILL) }
            state.isOver = true
            return state.reason
        }
    }
}
