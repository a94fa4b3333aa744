// SPDX-License-Identifier: Apache-2.0
// The published vectors of signature version 4 hold for what the tests' S3 server checks our requests with.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalRequest, sha256, signature, stringToSign } from '../../support/sigv4.mjs';

const EMPTY = sha256('');

// "Examples: Signature Calculations in AWS Signature Version 4", Amazon S3 API Reference.
const S3 = { secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', scope: '20130524/us-east-1/s3/aws4_request', time: '20130524T000000Z' };
const HOST = ['Host', 'examplebucket.s3.amazonaws.com'];
const DATE = ['x-amz-date', '20130524T000000Z'];
const s3 = [
  ['GET object, with a range', { method: 'GET', target: '/test.txt', payloadHash: EMPTY,
    headers: [HOST, ['Range', 'bytes=0-9'], ['x-amz-content-sha256', EMPTY], DATE] },
  'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'],
  ['PUT object', { method: 'PUT', target: '/test%24file.text', payloadHash: sha256('Welcome to Amazon S3.'),
    headers: [['Date', 'Fri, 24 May 2013 00:00:00 GMT'], HOST, ['x-amz-content-sha256', sha256('Welcome to Amazon S3.')], DATE,
      ['x-amz-storage-class', 'REDUCED_REDUNDANCY']] },
  '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd'],
  ['GET bucket lifecycle', { method: 'GET', target: '/?lifecycle', payloadHash: EMPTY,
    headers: [HOST, ['x-amz-content-sha256', EMPTY], DATE] },
  'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
  ['GET bucket, list', { method: 'GET', target: '/?max-keys=2&prefix=J', payloadHash: EMPTY,
    headers: [HOST, ['x-amz-content-sha256', EMPTY], DATE] },
  '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
];

// aws-sig-v4-test-suite, service "service".
const SUITE = { secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', scope: '20150830/us-east-1/service/aws4_request', time: '20150830T123600Z' };
const SUITE_HEADERS = [['Host', 'example.amazonaws.com'], ['X-Amz-Date', '20150830T123600Z']];
const suite = [
  ['get-vanilla', { method: 'GET', target: '/' }, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
  ['get-vanilla-query-order-key-case', { method: 'GET', target: '/?Param2=value2&Param1=value1' },
    'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500'],
  ['get-vanilla-query-unreserved', { method: 'GET',
    target: '/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz' },
  '9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197'],
  ['post-vanilla', { method: 'POST', target: '/' }, '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
];

function sign({ secret, scope, time }, request) {
  const signed = request.headers.map(([name]) => name.toLowerCase());
  return signature(secret, scope, stringToSign(time, scope, canonicalRequest({ ...request, signed })));
}

test('the examples of the S3 API reference come out as published', () => {
  for (const [name, request, want] of s3) assert.equal(sign(S3, request), want, name);
});

test("vectors of AWS's own suite come out as published", () => {
  for (const [name, request, want] of suite) {
    assert.equal(sign(SUITE, { payloadHash: EMPTY, headers: SUITE_HEADERS, ...request }), want, name);
  }
});
