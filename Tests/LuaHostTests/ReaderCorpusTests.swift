import LuaHost
import Testing

/// What `scripts/fuzz` kept for the Swift end of the decoder, and changes of it.
@Suite struct ReaderCorpusTests {
    @Test func whatTheShimAcceptsTheHostReadsWhole() async throws {
        let inputs = try CorpusTests.inputs("reader")
        #expect(inputs.count > 20)
        let state = try hosted().state
        var dice = PatternTests.Dice(state: 2)
        var compared = 0
        for input in inputs {
            for change in 0..<40 {
                var bytes = input
                if change > 0, !bytes.isEmpty {
                    bytes[Int(dice.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: dice.next())
                }
                let values = await state.read(bytes)
                guard let again = await state.decode(bytes) else { continue }
                compared += 1
                #expect(await state.read(again).count == values.count, "\(bytes)")
            }
        }
        #expect(compared > 200)
        #expect(try await state.run("return 1", chunk: "next") == [1])
    }
}
