// Sends by node-smpp what standard input lists, waits for every receipt, and prints what it saw as JSON.
import smpp from "smpp";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { port, system_id, password, messages } = JSON.parse(Buffer.concat(chunks));
const WINDOW = 20;
const accepted = new Array(messages.length).fill(null);
const receipts = {};
let next = 0;
let answered = 0;

const session = smpp.connect({ url: `smpp://127.0.0.1:${port}` }, () => {
  session.bind_transceiver({ system_id, password }, (pdu) => {
    if (pdu.command_status !== 0) throw new Error(`bind: ${pdu.command_status}`);
    for (let n = 0; n < WINDOW; n++) submit();
  });
});

function submit() {
  if (next >= messages.length) return;
  const number = next++;
  const { to, text } = messages[number];
  const fields = { source_addr_ton: 5, source_addr: "Node", dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: to };
  // Long texts travel in one piece: node-smpp chooses the alphabet, the centre makes the parts.
  const body = text.length <= 60 ? { short_message: text } : { message_payload: text };
  session.submit_sm({ ...fields, registered_delivery: 1, ...body }, (pdu) => {
    accepted[number] = pdu.command_status === 0 ? pdu.message_id : null;
    answered += 1;
    submit();
    finish();
  });
}

session.on("deliver_sm", (pdu) => {
  receipts[pdu.receipted_message_id] = { state: pdu.message_state, text: pdu.short_message.message };
  session.send(pdu.response());
  finish();
});

function finish() {
  const wanted = accepted.filter((id) => id !== null);
  if (answered < messages.length || wanted.some((id) => !(id in receipts))) return;
  session.unbind(() => {
    session.close();
    console.log(JSON.stringify({ accepted, receipts }));
  });
}

session.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
