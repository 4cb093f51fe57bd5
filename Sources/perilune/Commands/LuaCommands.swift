internal import ArgumentParser
import Foundation
import RecoveryScripting

/// What editors, linters and readers need to know of the Lua API, made of its declarations.
struct LuaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lua", abstract: "Prints the Lua API: types for editors, reference, globals for luacheck.",
        subcommands: [Types.self, Docs.self, Globals.self])

    struct Types: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints types for the Lua language server (perilune.d.lua).",
            discussion: """
                Editors that use the Lua language server complete and check scripts with it. Once, in the folder of the \
                scripts: perilune lua types --output types/perilune.d.lua, and in .luarc.json \
                {"runtime.version": "Lua 5.4", "workspace.library": ["types"]}.
                """)

        @OptionGroup var destination: DocumentDestination

        func run() async throws { try await Failure.reporting { try destination.deliver(.types) } }
    }

    struct Docs: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints the reference of the Lua API, in Markdown.")

        @OptionGroup var destination: DocumentDestination

        func run() async throws { try await Failure.reporting { try destination.deliver(.docs) } }
    }

    struct Globals: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the globals of the Lua API, as a .luacheckrc names them.",
            discussion: "With --check, the file may hold other settings around the table read_globals.")

        @OptionGroup var destination: DocumentDestination

        func run() async throws { try await Failure.reporting { try destination.deliver(.globals) } }
    }
}

/// Where a document goes: standard output, a file, or nowhere but a comparison.
struct DocumentDestination: ParsableArguments {
    @Option(name: .shortAndLong, help: "Write it to this file; its folder is made.")
    var output: String?

    @Option(help: "Write nothing; fail, and say why, when this file does not hold it.")
    var check: String?

    func validate() throws {
        if output != nil, check != nil { throw ValidationError("--output and --check exclude each other") }
    }

    func deliver(_ document: GeneratedDocument) throws {
        if let check {
            try compare(document, with: check)
        } else if let output {
            let file = URL(filePath: output)
            try attempting("written", output) {
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(document.text.utf8).write(to: file, options: .atomic)
            }
        } else {
            FileHandle.standardOutput.write(Data(document.text.utf8))
        }
    }

    private func compare(_ document: GeneratedDocument, with path: String) throws {
        let written = try attempting("read", path) { try String(contentsOfFile: path, encoding: .utf8) }
        guard let difference = document.difference(from: written) else { return }
        Terminal.complain("error: \(path) is out of date: \(difference)")
        Terminal.complain(
            document == .globals
                ? "  hint: put there what is printed by: perilune lua globals"
                : "  hint: perilune lua \(document.rawValue) --output \(path)")
        throw ExitCode(Failure.failed)
    }

    private func attempting<Value>(_ what: String, _ path: String, _ body: () throws -> Value) throws -> Value {
        do { return try body() } catch {
            let reason = error.localizedDescription.replacing("The operation could not be completed. ", with: "")
            Terminal.complain("error: \(path) cannot be \(what): \(reason)")
            throw ExitCode(Failure.failed)
        }
    }
}
