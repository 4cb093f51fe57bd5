internal import ArgumentParser
import Foundation
import RecoveryEngine
import RecoveryScripting

// Each of these is a small Lua run, so that a command given at three in the morning leaves the same record as a script.

/// What the single-operation commands share.
struct OperationOptions: ParsableArguments {
    @OptionGroup var options: VaultOptions

    @Argument(help: "Name of the VM.")
    var vm: String

    /// Runs `call`, an operation with its options in Lua, on the VM.
    ///
    /// - Parameters:
    ///   - command: the command with its options, as the run is recorded.
    ///   - more: lines about the VM as it stands afterwards.
    func run(
        _ call: String, as command: [String], then more: ((VMStatus) -> [String])? = nil
    ) async throws {
        try await Failure.reporting {
            let display = JobDisplay(quiet: options.json)
            let engine = try options.engine(display: display)
            try await Scripts.run(
                text(call), name: (["perilune"] + command).joined(separator: " "), generated: true, engine: engine,
                display: display,
                options: ScriptOptions(standardLibrary: StandardLibrary.locate(program: OwnProgram.path())),
                json: options.json)
            guard let more, !options.json else { return }
            for line in try await engine.status(ofVM: vm).map(more) ?? [] { Terminal.say("  " + line) }
        }
    }

    private func text(_ call: String) -> String {
        let run = """
            local vm = \(OneOperation.quoted(vm))
            local relationship = recovery.vault():replicated(vm)
            local job = relationship:\(call)
            """
        // With --json the report is all that is printed.
        if options.json { return run }
        return run + """

            if not job then
              print(("%s: %s"):format(vm, relationship:next().summary))
              return
            end
            local point = job.point and (", point %d"):format(job.point) or ""
            local ended, where = pcall(function()
              return ("; now %s at %s"):format(relationship.state, relationship.owner.name)
            end)
            print(("%s: %s%s in %.1f s%s"):format(vm, job.operation, point, job.took, ended and where or ""))
            for _, finding in ipairs(job.findings) do print("  " .. finding) end
            """
    }
}

enum OneOperation {
    /// A Lua string literal: bytes outside plain text are escaped, so that a name can never end the literal.
    static func quoted(_ text: String) -> String {
        var literal = "\""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0..<32, 127...: literal += String(format: "\\%03d", byte)
            default: literal.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return literal + "\""
    }

    /// A Lua table of those options that have a value; a value of digits alone is a number, but for options in `texts`.
    static func table(_ options: [(String, String?)], texts: [(String, String?)] = []) -> String {
        let fields =
            options.compactMap { name, value in value.map { "\(name) = \(literal($0))" } }
            + texts.compactMap { name, value in value.map { "\(name) = \(quoted($0))" } }
        return "{ \(fields.joined(separator: ", ")) }"
    }

    /// A number, a group point by its name, or text.
    private static func literal(_ value: String) -> String {
        let group = "group:"
        if value.hasPrefix(group) {
            return "recovery.vault():group_point(\(quoted(String(value.dropFirst(group.count)))))"
        }
        return Int(value).map { "\($0)" } ?? quoted(value)
    }

    /// Those options that have a value, as words of a command.
    static func words(_ options: [(String, String?)]) -> [String] {
        options.flatMap { name, value in value.map { [name, $0] } ?? [] }
    }
}
