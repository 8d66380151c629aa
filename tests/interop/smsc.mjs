// A foreign SMSC by node-smpp: takes whatever binds, keeps each message, sends its receipt. Its port is its argument.
import http from "node:http";
import smpp from "smpp";

const [smppPort, httpPort, password] = process.argv.slice(2);
const messages = [];
const binds = [];
const answers = [];
let bound = null;
let unbound = 0;

let count = 0;

const server = smpp.createServer((session) => {
  session.on("bind_transceiver", (pdu) => {
    const right = pdu.password === password;
    binds.push(right);
    session.send(pdu.response({ command_status: right ? smpp.ESME_ROK : smpp.ESME_RINVPASWD, system_id: "node" }));
    if (right) bound = session;
    else session.close();
  });
  session.on("submit_sm", (pdu) => {
    count += 1;
    if (count % 7 === 0) {
      session.send(pdu.response({ command_status: smpp.ESME_RMSGQFUL }));
      return;
    }
    const id = `n${count}`;
    const { command, command_id, command_status, command_length, sequence_number, short_message, ...fields } = pdu;
    messages.push({ to: pdu.destination_addr, from: pdu.source_addr, text: short_message.message, fields });
    // One in three says it in parameters alone, the others in words alone.
    const words = `id:${id} sub:001 dlvrd:001 submit date:2611221200 done date:2611221200 stat:DELIVRD err:000 text:x`;
    const told = count % 3 === 0 ? { receipted_message_id: id, message_state: 2 } : { short_message: words };
    const receipt = () =>
      session.deliver_sm({
        source_addr: pdu.destination_addr,
        source_addr_ton: 1,
        source_addr_npi: 1,
        destination_addr: pdu.source_addr,
        esm_class: 4,
        ...told,
      });
    // Now and then the receipt overtakes the answer, as it does in networks with many threads.
    if (count % 5 === 0) receipt();
    session.send(pdu.response({ message_id: id }));
    if (count % 5 !== 0) setTimeout(receipt, 5);
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => {
    unbound += 1;
    session.send(pdu.response());
    session.close();
  });
  session.on("error", () => {});
});
server.listen(Number(smppPort), "127.0.0.1", () => {
  http
    .createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url, "http://localhost");
      const answered = (pdu) => answers.push({ command: pdu.command, status: pdu.command_status });
      // What a phone of this network sends, and the question whether we are there.
      if (pathname === "/send") {
        const [from, to, text] = ["from", "to", "text"].map((name) => searchParams.get(name));
        const fields = { source_addr_ton: 1, source_addr_npi: 1, source_addr: from, destination_addr: to };
        bound.deliver_sm({ ...fields, short_message: text }, answered);
      } else if (pathname === "/enquire") bound.enquire_link({}, answered);
      response.end(JSON.stringify({ messages, binds, answers, unbound }));
    })
    .listen(Number(httpPort), "127.0.0.1", () => console.log("ready"));
});
process.stdin.on("end", () => process.exit(0)).resume();
