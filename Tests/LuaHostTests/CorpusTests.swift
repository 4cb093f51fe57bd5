import Foundation
import LuaHost
import Testing

/// What `scripts/fuzz` found worth keeping, and changes of it, through the decoders and the matcher.
@Suite struct CorpusTests {
    static func inputs(_ name: String) throws -> [[UInt8]] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "Corpus/\(name).hex")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map { line in
            let digits = Array(line.utf8)
            return stride(from: 0, to: digits.count - 1, by: 2).compactMap { i in
                UInt8(String(decoding: digits[i...i + 1], as: UTF8.self), radix: 16)
            }
        }
    }

    @Test func anyBytesDecodeOrAreRefused() async throws {
        let inputs = try Self.inputs("decoder")
        #expect(inputs.count > 50)
        let state = try hosted().state
        var dice = PatternTests.Dice(state: 1)
        var accepted = 0
        for input in inputs {
            for change in 0..<40 {
                var bytes = input
                if change > 0, !bytes.isEmpty {
                    bytes[Int(dice.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: dice.next())
                }
                _ = await state.read(bytes)
                guard let again = await state.decode(bytes) else { continue }
                accepted += 1
                #expect(await state.decode(again) == again)
            }
        }
        #expect(accepted > 500)
        #expect(try await state.run("return 1", chunk: "next") == [1])
    }

    @Test func keptPatternsGiveWhatLuasOwnGive() async throws {
        let inputs = try Self.inputs("matcher").filter { $0.count >= 2 }
        #expect(inputs.count > 50)
        func quoted(_ bytes: ArraySlice<UInt8>) -> String {
            "\"" + bytes.map { "\\" + String(repeating: "0", count: 3 - String($0).count) + String($0) }.joined() + "\""
        }
        var compared = 0
        for input in inputs {
            let length = min(Int(input[1]), input.count - 2)
            let start = Int(Int8(bitPattern: input[0])) % 16
            let arguments = "\(quoted(input[(2 + length)...])), \(quoted(input[2..<(2 + length)]))"
            let script = PatternTests.script(cases: "try(\(arguments), \(start), '<%0%1>', nil)")
            // What would take Lua's own for ever ends here, and is not asked there.
            let results = try? await Fixture { $0.limits.fuel = 300_000 }.run(script)
            guard case .string(let ours) = results?.first else { continue }
            compared += 1
            let theirs = LuaProbe.stock(script)
            #expect(theirs == ours.bytes, "\(arguments)")
        }
        #expect(compared > inputs.count / 2)
    }
}
