// The request to a witness as C2SP writes it, and the rule by which one signs.
import Testing
import TransparencyLog

@Suite("Requests to witnesses")
struct WitnessRulesTests {
    /// The example of c2sp.org/tlog-witness.
    private static let example = """
        old 20852014
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

        example.com/behind-the-sofa
        20852163
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
        — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=

        """

    @Test("The published example is read, and written back byte for byte")
    func published() throws {
        let request = try AddCheckpointRequest(parsing: Self.example.utf8)
        #expect(request.oldSize == 20_852_014 && request.proof.count == 4)
        #expect(try Checkpoint(text: SignedNote(parsing: request.checkpoint).text).size == 20_852_163)
        #expect(request.description == Self.example)
        let first = AddCheckpointRequest(oldSize: 0, proof: [], checkpoint: "a\n0\nx\n\n— a b\n")
        #expect(first.description.hasPrefix("old 0\n\na\n"))
        #expect(try AddCheckpointRequest(parsing: first.description.utf8).checkpoint == first.checkpoint)
    }

    @Test("Other forms are refused", arguments: [
        "", "\n\n", "old 1\n", "old\n\nx\n", "old 01\n\nx\n", "old +1\n\nx\n", "old -1\n\nx\n", "old 1 \n\nx\n", "Old 1\n\nx\n", "old 9223372036854775808\n\nx\n",
        "old 1\nAAAA\n\nx\n", "old 1\r\n\r\nx\n", "old 1\n" + String(repeating: MerkleHash.emptyTree.base64 + "\n", count: 64) + "\nx\n",
    ])
    func otherForms(body: String) {
        #expect(throws: MalformedCheckpointRequest.self) { try AddCheckpointRequest(parsing: body.utf8) }
    }

    @Test("The longest proof is read, and no more bytes than the limit")
    func limits() throws {
        let longest = AddCheckpointRequest(oldSize: 1, proof: Array(repeating: .emptyTree, count: 63), checkpoint: "x\n")
        #expect(try AddCheckpointRequest(parsing: longest.description.utf8).proof.count == 63)
        let tooLong = "old 0\n\n" + String(repeating: "x", count: AddCheckpointRequest.bytesMax)
        #expect(throws: MalformedCheckpointRequest.self) { try AddCheckpointRequest(parsing: tooLong.utf8) }
    }

    @Test("A size is a plain number and a newline")
    func sizes() {
        #expect(TreeSizeAnswer.read(Array(TreeSizeAnswer.write(17).utf8)) == 17)
        for text in ["", "17", "17\n\n", "017\n", "+17\n", " 17\n", "x\n", "-1\n"] { #expect(TreeSizeAnswer.read(Array(text.utf8)) == nil, "\(text)") }
    }

    @Test("Of all sizes only a tree that follows from the last one is signed")
    func rule() throws {
        let leaves = (0..<9).map { MerkleHash.leaf([UInt8($0)]) }
        func head(_ size: Int, _ leaves: [MerkleHash]) -> WitnessedHead { WitnessedHead(size: size, root: MerkleTree.root(of: leaves[..<size])) }
        var forked = leaves
        forked[0] = .leaf([99])
        for old in 0...8 {
            for new in old...9 {
                let proof = try MerkleTree.consistencyProof(from: old, in: Array(leaves[..<new]))
                #expect(throws: Never.self) { try WitnessRules.check(head(new, leaves), oldSize: old, proof: proof, latest: head(old, leaves)) }
                guard old > 0 else { continue }
                #expect(throws: WitnessRefusal.inconsistent) {
                    try WitnessRules.check(head(new, forked), oldSize: old, proof: proof, latest: head(old, leaves))
                }
                #expect(throws: WitnessRefusal.inconsistent) {
                    try WitnessRules.check(head(new, leaves), oldSize: old, proof: proof + [.emptyTree], latest: head(old, leaves))
                }
                #expect(throws: WitnessRefusal.anotherSize(old)) {
                    try WitnessRules.check(head(new, leaves), oldSize: old - 1, proof: proof, latest: head(old, leaves))
                }
            }
        }
        #expect(throws: WitnessRefusal.oldSizeTooLarge) { try WitnessRules.check(head(3, leaves), oldSize: 4, proof: [], latest: head(4, leaves)) }
        #expect(throws: WitnessRefusal.inconsistent) { try WitnessRules.check(head(3, leaves), oldSize: 0, proof: [.emptyTree], latest: .none) }
        #expect(throws: WitnessRefusal.inconsistent) { try WitnessRules.check(WitnessedHead(size: 0, root: leaves[0]), oldSize: 0, proof: [], latest: .none) }
        #expect(throws: Never.self) { try WitnessRules.check(.none, oldSize: 0, proof: [], latest: .none) }
    }
}
